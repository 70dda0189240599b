//! Generates `vault.v1` from the `.proto` files with protox: no system `protoc` is needed.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("vault/v1")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    println!("cargo:rerun-if-changed=vault/v1");

    let descriptors = protox::compile(&files, [Path::new(".")])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("vault.v1.bin");
    std::fs::write(&out, prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .skip_debug(["vault.v1.CredentialSecret", "vault.v1.SignedRequest"])
        .compile_fds(descriptors)?;
    Ok(())
}
