//! What streaming costs: the memory of the real server's process does not grow with the size of a bundle.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use kernex_tests::harness::{ProcessOptions, ServerProcess, run};
use reqwest::Body;
use sha2::{Digest, Sha256};

/// MiB that are uploaded where the environment says nothing else: 2,048 take a minute on a busy machine, under the
/// same limit.
const DEFAULT_MIB: usize = 512;
/// The environment's word for another size, in MiB.
const SIZE_VARIABLE: &str = "KERNEX_TEST_UPLOAD_MIB";
/// KiB by which the server may grow.
const ALLOWED_KIB: u64 = 32 * 1024;
const MIB: usize = 1024 * 1024;

/// One MiB of content, different for each number.
fn part(number: usize) -> Vec<u8> {
    let mut part = vec![0_u8; MIB];
    for (index, word) in part.chunks_exact_mut(8).enumerate() {
        let mixed = ((number as u64) << 32 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        word.copy_from_slice(&mixed.to_le_bytes());
    }
    part
}

fn parts(count: usize) -> Body {
    Body::wrap_stream(stream::iter(0..count).map(|number| Ok::<_, std::io::Error>(part(number))))
}

#[test]
fn a_large_bundle_goes_in_and_out_in_little_memory() {
    run(async {
        let count = std::env::var(SIZE_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_MIB);
        let server = ServerProcess::start(ProcessOptions::new()).await;
        let admin = server.admin().await;
        // What the first upload and download of any size need once is not what is measured.
        let small = upload(&admin, "small", parts(8)).await;
        download(&admin, &small, 8).await;

        let before = server.resident_kib();
        server.forget_peak();
        let start = Instant::now();
        let id = upload(&admin, "large", parts(count)).await;
        let (took, peak) = (start.elapsed(), server.peak_resident_kib());
        let grown = peak.saturating_sub(before);
        println!("{count} MiB up in {took:.1?}: {before} KiB before, {peak} KiB at most, {grown} KiB more");
        assert!(grown <= ALLOWED_KIB, "an upload of {count} MiB took {grown} KiB of memory");

        let before = server.resident_kib();
        server.forget_peak();
        let start = Instant::now();
        download(&admin, &id, count).await;
        let (took, grown) = (start.elapsed(), server.peak_resident_kib().saturating_sub(before));
        println!("{count} MiB down in {took:.1?}: {grown} KiB more");
        assert!(grown <= ALLOWED_KIB, "a download of {count} MiB took {grown} KiB of memory");
    });
}

async fn upload(admin: &kernex_tests::harness::Client, name: &str, body: Body) -> String {
    admin.post("/bundles").query("name", name).query("version", "1").bytes(body).await.expect(201).id()
}

/// Downloads as a stream, and compares every byte by the digest.
async fn download(admin: &kernex_tests::harness::Client, id: &str, count: usize) {
    let record = admin.get(&format!("/bundles/{id}")).await.expect(200);
    assert_eq!(record["size"], count * MIB);
    let mut response = admin.get(&format!("/bundles/{id}/content")).start().await.expect("an answer");
    let mut digest = Sha256::new();
    while let Some(chunk) = response.chunk().await.expect("the whole content") {
        digest.update(&chunk);
    }
    let sent = (0..count).fold(Sha256::new(), |digest, number| digest.chain_update(part(number)));
    let (sent, got) = (hex::encode(sent.finalize()), hex::encode(digest.finalize()));
    assert_eq!(sent, got);
    assert_eq!(record["sha256"], got);
}
