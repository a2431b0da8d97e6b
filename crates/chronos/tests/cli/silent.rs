//! A server that takes every request and answers none: enough HTTP/2 (RFC 9113) to let a call begin.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

const PREFACE_BYTES: usize = 24;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 4;

/// An empty SETTINGS frame.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// `:status: 200` and `content-type: application/grpc`, as HPACK (RFC 7541) without a dynamic table.
const FIELDS: &[u8] = b"\x88\x0f\x10\x10application/grpc";

/// Where it listens.
pub(crate) fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for caller in listener.incoming().map(Result::unwrap) {
            // A caller that hangs up ends its thread with an error that says no more than that.
            std::thread::spawn(move || listen(caller));
        }
    });
    address
}

fn listen(mut caller: TcpStream) -> io::Result<()> {
    caller.write_all(&SETTINGS)?;
    caller.read_exact(&mut [0; PREFACE_BYTES])?;
    loop {
        let mut header = [0; 9];
        caller.read_exact(&mut header)?;
        let [a, b, c, kind, _, stream @ ..] = header;
        let length = u32::from_be_bytes([0, a, b, c]);
        io::copy(&mut (&mut caller).take(length.into()), &mut io::sink())?;
        if kind == HEADERS {
            caller.write_all(&[0, 0, FIELDS.len() as u8, HEADERS, END_HEADERS])?;
            caller.write_all(&stream)?;
            caller.write_all(FIELDS)?;
        }
    }
}
