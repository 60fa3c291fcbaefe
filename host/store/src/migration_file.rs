//! Owns the list of migrations that this program carries, from `migrations/` at the root of the project.

use kernex_model::digest::Digest;

/// One step of the schema, up and down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MigrationFile {
    /// Counted from 1, without gaps.
    pub(crate) version: u32,
    /// `NNNN_verb_noun`.
    pub(crate) name: &'static str,
    /// What brings the schema up.
    pub(crate) up: &'static str,
    /// What takes it back.
    pub(crate) down: &'static str,
}

impl MigrationFile {
    /// SHA-256 over both directions.
    pub(crate) fn checksum(&self) -> String {
        Digest::of_parts(&[self.up.as_bytes(), self.down.as_bytes()]).to_string()
    }
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(MigrationFile {
            version: $version,
            name: $name,
            up: include_str!(concat!("../../../migrations/", $name, ".up.surql")),
            down: include_str!(concat!("../../../migrations/", $name, ".down.surql")),
        }),*]
    };
}

/// Every migration, in order.
pub(crate) const MIGRATIONS: &[MigrationFile] = migrations![
    1 "0001_create_identity",
    2 "0002_create_fleet",
    3 "0003_create_deployments",
    4 "0004_create_records",
    5 "0005_extend_deployments",
    6 "0006_create_assertion",
    7 "0007_create_idempotency",
    8 "0008_extend_policy",
    9 "0009_create_plugin",
    10 "0010_create_comparison",
    11 "0011_create_approval",
    12 "0012_pin_policies",
    13 "0013_redact_decisions",
    14 "0014_create_plan",
    15 "0015_trace_decisions",
    16 "0016_name_decisions",
    17 "0017_relax_bulk",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of migrations")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"))
            .filter(|name| name.ends_with(".surql"))
            .collect();
        files.sort();
        let mut listed: Vec<String> = MIGRATIONS
            .iter()
            .flat_map(|file| [format!("{}.down.surql", file.name), format!("{}.up.surql", file.name)])
            .collect();
        listed.sort();
        assert_eq!(files, listed);
    }

    #[test]
    fn versions_count_from_one_and_names_begin_with_them() {
        for (index, file) in MIGRATIONS.iter().enumerate() {
            assert_eq!(file.version as usize, index + 1);
            assert!(file.name.starts_with(&format!("{:04}_", file.version)), "{}", file.name);
        }
    }
}
