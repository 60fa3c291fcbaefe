//! Owns what is said of a key that no setting has: what was most likely meant, and what else there is.

use std::collections::BTreeSet;

use super::layers::parent;

/// One letter in so many may be wrong, missing, too many or swapped with its neighbour.
const LETTERS_PER_ERROR: usize = 3;

/// What follows `there is no setting …;`, of a key and all keys that there are.
pub(super) fn suggestion(key: &str, known: &BTreeSet<String>) -> String {
    let distance = |known: &str| strsim::osa_distance(key, known);
    let name = key.rsplit('.').next().unwrap_or(key);
    let most_errors = name.chars().count().div_ceil(LETTERS_PER_ERROR);
    let nearest = known.iter().map(|known| (distance(known.as_str()), known.as_str())).min();
    let meant = nearest.filter(|(errors, _)| *errors <= most_errors).map(|(_, known)| known);
    let mut others: Vec<&str> = known.iter().map(String::as_str).filter(|known| parent(known) == parent(key)).collect();
    others.retain(|known| Some(*known) != meant);
    others.sort_by_key(|known| distance(known));
    let others = others.join(", ");
    match meant {
        Some(meant) if others.is_empty() => format!("did you mean `{meant}`?"),
        Some(meant) => format!("did you mean `{meant}`? Beside it there are: {others}"),
        None => format!("near it are: {others}"),
    }
}

#[test]
fn the_nearest_key_comes_first() {
    let keys = ["http", "http.listen", "log", "log.filter", "log.format", "store", "store.password", "store.url"];
    let known: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    for (key, said) in [
        ("http.lisen", "did you mean `http.listen`?"),
        ("log.fromat", "did you mean `log.format`? Beside it there are: log.filter"),
        ("log.filters", "did you mean `log.filter`? Beside it there are: log.format"),
        ("stroe", "did you mean `store`? Beside it there are: http, log"),
        // As a variable with one underscore too few has it.
        ("http_listen", "did you mean `http.listen`? Beside it there are: http, store, log"),
        ("store.x", "near it are: store.url, store.password"),
        ("store.colour", "near it are: store.url, store.password"),
    ] {
        assert_eq!(suggestion(key, &known), said, "{key}");
    }
}
