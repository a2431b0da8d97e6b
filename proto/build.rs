//! Compiles the `.proto` files without `protoc`.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

/// What clients may call.
const CLIENTS: [&str; 4] = [
    "chronos/v1/event_store.proto",
    "chronos/v1/admin.proto",
    "chronos/v1/backup.proto",
    "chronos/v1/query.proto",
];
/// What operators may call besides, on a port of their own.
const OPERATORS: &str = "chronos/admin/v1/admin.proto";
/// What nodes say to each other. No port describes it.
const PEERS: [&str; 3] =
    ["chronos/peer/v1/peer.proto", "chronos/peer/v1/cluster.proto", "chronos/peer/v1/forward.proto"];

fn main() -> Result<(), Box<dyn error::Error>> {
    // Server reflection describes what may be called on the port that is asked, and nothing else.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("chronos.v1.bin"), protox::compile(CLIENTS, ["proto"])?.encode_to_vec())?;
    let files = protox::compile(CLIENTS.into_iter().chain([OPERATORS]), ["proto"])?;
    fs::write(out.join("chronos.admin.v1.bin"), files.encode_to_vec())?;
    let all = protox::compile(CLIENTS.into_iter().chain([OPERATORS]).chain(PEERS), ["proto"])?;
    // Payloads and blocks are shared slices of the message they came in, never copies; maps have one order.
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(all)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
