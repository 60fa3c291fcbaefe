//! The commands of plugin authors, as the real program: what is generated builds and passes, what is wrong is found.

mod plugin {
    mod bundled;
    mod chapter;
    mod commands;
    mod crates;
    mod desk;
    mod javascript;
    mod recorded;
    mod trials;
}
