//! Accounts, passwords, sessions and keys: what is read is what was written, and names are unique without regard to case.

use kernex_model::id::UserId;
use kernex_model::user::{ApiKey, Password, Session};
use serde_json::json;

use super::*;
use crate::{CommitError, Page, StoreError};

#[tokio::test]
async fn an_account_is_found_by_every_name_it_has() {
    let store = memory().await;
    assert!(!store.any_user().await.unwrap());
    let ada = user(1, "Ada", "Ada@Example.org");
    let password = Password { user_id: ada.id, phc: "$argon2id$x".into(), updated_at: at(1) };
    let mut changes = changes();
    changes.create(&ada).put(&password);
    store.commit(changes).await.unwrap();

    assert!(store.any_user().await.unwrap());
    assert_eq!(store.user(ada.id).await.unwrap().as_ref(), Some(&ada));
    for login in ["ada", "ADA", "ada@example.ORG"] {
        assert_eq!(store.user_by_login(login).await.unwrap().as_ref(), Some(&ada), "{login}");
    }
    assert_eq!(store.user_by_login("example.org").await.unwrap(), None);
    assert_eq!(store.user(UserId(ulid(2))).await.unwrap(), None);
    assert_eq!(store.password(ada.id).await.unwrap(), Some(password));
    assert_eq!(store.password(UserId(ulid(2))).await.unwrap(), None);
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let store = memory().await;
    let mut first = changes();
    first.create(&user(1, "ada", "ada@example.org"));
    store.commit(first).await.unwrap();
    for (other, index) in [
        (user(2, "ADA", "other@example.org"), "user_username"),
        (user(2, "bea", "ADA@example.org"), "user_email"),
        (user(1, "cea", "cea@example.org"), "user"),
    ] {
        let mut changes = changes();
        changes.create(&other);
        assert_eq!(store.commit(changes).await, Err(CommitError::Exists { index }), "{index}");
    }
    // A change of name can collide, too.
    let mut second = changes();
    second.create(&user(2, "bea", "bea@example.org"));
    store.commit(second).await.unwrap();
    let mut renamed = changes();
    renamed.update(&user(2, "aDa", "bea@example.org"));
    assert_eq!(store.commit(renamed).await, Err(CommitError::Exists { index: "user_username" }));
}

#[tokio::test]
async fn pages_lead_through_every_account_once() {
    let store = memory().await;
    let users: Vec<_> = (0..25).map(|n| user(n, &format!("user{n}"), &format!("u{n}@example.org"))).collect();
    let mut all = changes();
    for user in &users {
        all.create(user);
    }
    store.commit(all).await.unwrap();

    let (mut page, mut read, mut pages) = (Page::first(10), Vec::new(), 0);
    loop {
        let listed = store.list_users(&page).await.unwrap();
        read.extend(listed.items);
        pages += 1;
        let Some(next) = listed.next else { break };
        page.after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!((pages, &read), (3, &users));
    assert_eq!(store.list_api_keys(&page).await, Err(StoreError::ForeignCursor));
    // Exactly full: there is no next page.
    assert_eq!(store.list_users(&Page::first(25)).await.unwrap().next, None);
}

#[tokio::test]
async fn sessions_are_listed_by_account_newest_first_and_end() {
    let store = memory().await;
    let session = |number: u64, owner: u64| -> Session {
        serde_json::from_value(json!({
            "id": format!("ses_{}", ulid(number)), "user_id": UserId(ulid(owner)), "refresh_digest": null,
            "address": null, "created_at": at(0), "refreshed_at": at(0), "expires_at": at(9), "revision": 1,
        }))
        .unwrap()
    };
    let mut all = changes();
    for number in 0..7 {
        all.create(&session(number, number % 2));
    }
    store.commit(all).await.unwrap();

    let owner = UserId(ulid(0));
    let first = store.list_sessions(owner, &Page::first(3)).await.unwrap();
    assert_eq!(first.items, [session(6, 0), session(4, 0), session(2, 0)]);
    let rest = store.list_sessions(owner, &Page { limit: 3, after: first.next.clone() }).await.unwrap();
    assert_eq!((rest.items, rest.next), (vec![session(0, 0)], None));
    let foreign = store.list_sessions(UserId(ulid(1)), &Page { limit: 3, after: first.next }).await;
    assert_eq!(foreign, Err(StoreError::ForeignCursor));

    let mut end = changes();
    end.delete::<Session>(&session(6, 0).id).delete::<Session>(&session(6, 0).id);
    store.commit(end).await.unwrap();
    assert_eq!(store.session(session(6, 0).id).await.unwrap(), None);
    assert_eq!(store.list_sessions(owner, &Page::first(9)).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn an_api_key_is_revoked() {
    let store = memory().await;
    let key: ApiKey = serde_json::from_value(json!({
        "id": format!("key_{}", ulid(1)), "name": "ci", "roles": [], "secret_digest": null,
        "created_by": "system", "created_at": at(0), "expires_at": at(1), "revision": 1,
    }))
    .unwrap();
    let mut make = changes();
    make.create(&key);
    store.commit(make).await.unwrap();
    assert_eq!(store.list_api_keys(&Page::first(5)).await.unwrap().items, std::slice::from_ref(&key));
    let mut revoke = changes();
    revoke.delete::<ApiKey>(&key.id);
    store.commit(revoke).await.unwrap();
    assert_eq!(store.api_key(key.id).await.unwrap(), None);
}

#[tokio::test]
async fn the_first_writer_of_a_secret_decides_it_and_one_uses_it_up() {
    let store = memory().await;
    assert_eq!(store.server_secret("token").await.unwrap(), None);
    assert_eq!(store.create_server_secret("token", &[1, 2]).await.unwrap(), [1, 2]);
    assert_eq!(store.create_server_secret("token", &[3]).await.unwrap(), [1, 2]);
    assert_eq!(store.server_secret("token").await.unwrap(), Some(vec![1, 2]));

    let uses = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut changes = changes();
            changes.consume_secret("token").create(&user(number, &format!("u{number}"), &format!("u{number}@x.org")));
            store.commit(changes).await.is_ok()
        })
    });
    let mut won = 0;
    for used in uses.collect::<Vec<_>>() {
        won += usize::from(used.await.unwrap());
    }
    assert_eq!(won, 1, "the set-up token was used more than once");
    assert_eq!(store.list_users(&Page::first(9)).await.unwrap().items.len(), 1);
    assert_eq!(store.server_secret("token").await.unwrap(), None);
}
