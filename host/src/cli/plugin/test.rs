//! Owns `plugin test`: finds component and cases, runs them, and ends as they do.

use std::path::{Path, PathBuf};

use super::bless::{bless, budget};
use super::build::{self, Built};
use super::cases::{self, MAX_FILE_BYTES};
use super::component::Component;
use super::file::read;
use super::recorded::Recorded;
use super::report;
use super::trial::{Trial, Verdict};
use crate::cli::CliError;
use crate::cli::listing::Format;
use crate::cli::output::say;

/// The case file's usual name.
const CASES: &str = "cases.yaml";

const EXAMPLES: &str = "\
Beyond what a case asks for, each is asked again (the same answer for the same fuel), in reused instances, with its
devices in other batches, with none, a quarter, half and three quarters of the fuel that it needs, with too little
memory, and without each of its facts. Then a fault is fine, and another answer is not; without a fact it must be none
that lets more through.

Examples:
  kernex plugin test                                  # the crate in this folder, built first; its cases.yaml
  kernex plugin test my-rings.wasm --cases cases.yaml
  kernex plugin test --bless                          # writes twice the measured fuel as the budgets
  kernex plugin test --from-decisions rbac            # what a server's policy decided, as cases
  kernex plugin test --output json | jq '.cases[] | select(.passed | not)'

Exit code 1 where a case fails.";

/// Run a plugin's cases against the real component.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// A component, or the folder of a crate, which is built first
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    plugin: PathBuf,
    /// The cases [default: cases.yaml in the crate's folder, or beside the component]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Write twice the fuel that was used into the case file, as each case's `fuel_at_most`
    #[arg(long)]
    bless: bool,
    #[command(flatten)]
    recorded: Recorded,
    /// How the result is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl Test {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let recorded = self.recorded.write(self.cases.as_deref()).await?;
        let (file, cases) = found(&self.plugin, recorded.as_deref().or(self.cases.as_deref()))?;
        let component = Component::open(&file).map_err(CliError::failed)?;
        let loaded = cases::load(&cases).map_err(CliError::failed)?;
        let mut verdicts = Trial::new(&component).run(&loaded);
        if self.bless {
            write_budgets(&cases, &mut verdicts)?;
        }
        match self.output {
            Format::Json => {
                let json = report::json(&component, &verdicts);
                say!("{}", serde_json::to_string_pretty(&json).map_err(CliError::failed)?);
            }
            Format::Table => say!("{}", report::text(&component, &verdicts)),
        }
        match verdicts.iter().filter(|verdict| !verdict.passed()).count() {
            0 => Ok(()),
            failed => Err(CliError::Failed(format!("{failed} of {} cases failed", verdicts.len()))),
        }
    }
}

/// The component, built where a crate is named, and the cases for it.
pub(super) fn found(plugin: &Path, cases: Option<&Path>) -> Result<(PathBuf, PathBuf), CliError> {
    let (file, folders) = if plugin.is_dir() {
        let Built { file, .. } = build::build(plugin)?;
        (file, vec![plugin.to_owned()])
    } else {
        // A component that `build` has made lies in `target/kernex` of its crate.
        let beside = plugin.parent().unwrap_or(Path::new(""));
        let built = beside.ends_with(build::OUTPUT).then(|| beside.ancestors().nth(2)).flatten();
        (plugin.to_owned(), [Some(beside), built].into_iter().flatten().map(Path::to_owned).collect())
    };
    if let Some(cases) = cases {
        return Ok((file, cases.to_owned()));
    }
    let candidates = folders.iter().map(|folder| folder.join(CASES));
    match candidates.into_iter().find(|path| path.is_file()) {
        Some(cases) => Ok((file, cases)),
        None => {
            let looked: Vec<String> = folders.iter().map(|folder| folder.join(CASES).display().to_string()).collect();
            Err(CliError::Failed(format!("there is no {}; name a case file with --cases", looked.join(" and no "))))
        }
    }
}

/// Writes the budgets of the cases that answered as they should.
fn write_budgets(path: &Path, verdicts: &mut [Verdict<'_>]) -> Result<(), CliError> {
    let text = String::from_utf8(read(path, MAX_FILE_BYTES).map_err(CliError::failed)?).map_err(CliError::failed)?;
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.failures.is_empty()) {
        verdict.fuel_at_most = verdict.fuel().map(budget);
    }
    let budgets: Vec<Option<u64>> = verdicts.iter().map(|verdict| verdict.fuel_at_most).collect();
    let blessed = bless(&text, &budgets).map_err(CliError::Failed)?;
    std::fs::write(path, blessed)
        .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))?;
    // Standard output is for the result.
    eprintln!("the budgets are written into {}", path.display());
    Ok(())
}
