//! Frames of another process, cut anywhere.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoder = vault_ipc::Decoder::default();
    for piece in data.chunks(7) {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    let _ = frame.message::<vault_ipc::SignCall>();
                    let _ = frame.message::<vault_ipc::CommandCall>();
                    let _ = frame.message::<vault_ipc::Reply>();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
