//! Compiles the `.proto` files without `protoc`.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn error::Error>> {
    let files = protox::compile(
        [
            "chronos/v1/event_store.proto",
            "chronos/v1/admin.proto",
            "chronos/v1/backup.proto",
            "chronos/v1/query.proto",
        ],
        ["proto"],
    )?;
    // On its own: server reflection describes what clients may call, and this is not it.
    let peer = protox::compile(["chronos/peer/v1/cluster.proto", "chronos/peer/v1/peer.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("chronos.v1.bin"), files.encode_to_vec())?;
    // Payloads and blocks are shared slices of the message they came in, never copies; maps have one order.
    for files in [files, peer] {
        tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(files)?;
    }
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
