//! Owns the doctor's look at where bundles are kept: a directory that can be written, or a store that answers.

use std::path::Path;
use std::time::Duration;

use super::{Finding, bad, can_be_made, good, odd, own};
use crate::app::bundles::storage::{BundleStorage, StorageSettings};

/// How long a store of objects may take to answer.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Whether bundles can be taken in and given out; nothing is changed.
pub(super) async fn bundles(settings: &StorageSettings) -> Finding {
    match settings.directory() {
        Some(directory) => local(directory),
        None => remote(settings.url.as_deref().unwrap_or_default()).await,
    }
}

fn local(directory: &Path) -> Finding {
    let name = directory.display();
    if !directory.exists() {
        return match can_be_made(directory) {
            Ok(()) => odd("bundles", format!("{name} does not exist yet; the first start makes it"))
                .with("if there should be bundles, set `bundles.url` to where they are"),
            Err(error) => bad(
                "bundles",
                format!("{name} does not exist and cannot be made: {error}"),
                "set `bundles.url` to where the server's user may write",
            ),
        };
    }
    if !directory.is_dir() {
        return bad(
            "bundles",
            format!("{name} is no directory"),
            "move it away, or set `bundles.url` to another place",
        );
    }
    match tempfile::tempfile_in(directory) {
        Ok(_) => good("bundles", format!("{name} can be written")),
        Err(error) => bad("bundles", format!("{name} cannot be written: {error}"), own(directory)),
    }
}

async fn remote(url: &str) -> Finding {
    let why = match tokio::time::timeout(TIME_OUT, BundleStorage::answers(url)).await {
        Ok(Ok(())) => return good("bundles", format!("{url} answers")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("{url} gave no answer within {} s", TIME_OUT.as_secs()),
    };
    bad(
        "bundles",
        why,
        "see that `bundles.url` and the variables AWS_…, GOOGLE_… or AZURE_… with region and credentials are right",
    )
}
