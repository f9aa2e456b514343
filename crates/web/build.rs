//! Makes the code of gRPC from its .proto file, without a protoc: `protox` compiles the descriptors, which reflection
//! serves too.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    const FILE: &str = "stockd/v1/stocks.proto";
    const DIRECTORY: &str = "proto";
    println!("cargo:rerun-if-changed={DIRECTORY}/{FILE}");
    let descriptors = protox::compile([FILE], [DIRECTORY])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("stockd.bin"), descriptors.encode_to_vec())?;
    // The client is for the tests.
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
