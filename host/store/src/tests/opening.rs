//! Opening and closing: what was committed is there again, and what cannot be opened says why.

use super::*;
use crate::{OpenError, Page, StoreError};

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    let mut make = changes();
    make.create(&user(1, "ada", "ada@example.org"));
    store.commit(make).await.unwrap();
    store.ping().await.unwrap();
    let clone = store.clone();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(clone.ping().await, Err(StoreError::Closed));

    let store = disk(&folder).await;
    assert_eq!(store.migrations().up().await.unwrap(), 0);
    assert_eq!(store.list_users(&Page::first(5)).await.unwrap().items, [user(1, "ada", "ada@example.org")]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_somebody_has_open_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    let url = format!("rocksdb://{}", folder.path().join("store").display()).parse().unwrap();
    let second = Store::open(&url, StoreOptions::default()).await;
    assert!(matches!(&second, Err(OpenError::Held(_))), "{second:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    store.close().await.unwrap();
    let path = folder.path().join("store");
    std::fs::write(path.join("CURRENT"), "MANIFEST-999999\n").unwrap();
    let url = format!("rocksdb://{}", path.display()).parse().unwrap();
    let damaged = Store::open(&url, StoreOptions::default()).await;
    assert!(matches!(&damaged, Err(OpenError::Damaged { .. })), "{damaged:?}");
    // A file in its place is no store either.
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let url = format!("rocksdb://{}", file.display()).parse().unwrap();
    assert!(matches!(Store::open(&url, StoreOptions::default()).await, Err(OpenError::Damaged { .. })));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let options = StoreOptions {
        username: Some("root".into()),
        password: Some("hunter2".into()),
        query_timeout: std::time::Duration::from_secs(2),
        ..StoreOptions::default()
    };
    assert!(!format!("{options:?}").contains("hunter2"));
    let opened = Store::open(&"ws://127.0.0.1:9".parse().unwrap(), options).await;
    assert!(matches!(&opened, Err(OpenError::Unreachable { .. })), "{opened:?}");
    assert!(!opened.unwrap_err().to_string().contains("hunter2"));
}
