//! Leases: one holder at a time, and an epoch that only grows.

use super::*;

#[tokio::test]
async fn a_lease_has_one_owner_until_it_expires() {
    let store = memory().await;
    assert_eq!(store.lease("driver", "a", at(0), 10_000).await.unwrap(), Some(1));
    assert_eq!(store.lease("driver", "b", at(5), 10_000).await.unwrap(), None);
    assert_eq!(store.lease("driver", "a", at(5), 10_000).await.unwrap(), Some(1), "a renewal keeps the epoch");
    assert_eq!(store.lease("driver", "b", at(14), 10_000).await.unwrap(), None);
    assert_eq!(store.lease("driver", "b", at(16), 10_000).await.unwrap(), Some(2));
    store.release_lease("driver", "a").await.unwrap();
    assert_eq!(store.lease("driver", "a", at(17), 10_000).await.unwrap(), None, "somebody else's lease was released");
    store.release_lease("driver", "b").await.unwrap();
    assert_eq!(store.lease("driver", "a", at(17), 10_000).await.unwrap(), Some(3));
    assert_eq!(store.lease("other", "b", at(17), 10_000).await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_racers_one_gets_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, disk(&folder).await] {
        let racers: Vec<_> = (0..32)
            .map(|racer| {
                let store = store.clone();
                tokio::spawn(
                    async move { store.lease("driver", &format!("host {racer}"), at(0), 60_000).await.unwrap() },
                )
            })
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            won.extend(racer.await.unwrap());
        }
        assert_eq!(won, [1]);
    }
}
