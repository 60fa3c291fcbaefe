//! Crashes: the real server is killed twenty times under load, and every write that it acknowledged is there.

mod crash {
    mod flush;
    mod ledger;
    mod load;
    mod sweep;
    mod torn;
}
