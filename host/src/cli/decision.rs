//! Owns `decision`: reads a server's decision log.

use clap::Subcommand;
use kernex_model::id::DecisionId;
use kernex_model::name::PolicyName;
use kernex_model::record::{DecisionGate, DecisionOutcome};
use kernex_model::time::Timestamp;
use serde::Deserialize;

use super::CliError;
use super::operator::Server;

/// What the policies of a server decided.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List decisions, the newest first
    List(List),
    /// Show one decision in full: what was asked, what was read, what came out
    Show {
        #[command(flatten)]
        server: Server,
        /// The decision (dec_…)
        decision: DecisionId,
    },
}

/// List decisions, the newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    server: Server,
    /// Only those of one gate
    #[arg(long, value_enum)]
    gate: Option<Gate>,
    /// Only those about this principal, deployment or device
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// How many, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Which decisions.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Gate {
    /// Who may do what.
    Authorization,
    /// Which devices get a deployment.
    Targeting,
    /// When to stop and send devices back.
    Rollback,
}

#[derive(Deserialize)]
struct Decisions {
    items: Vec<Shown>,
}

/// A decision as far as a list shows it.
#[derive(Deserialize)]
struct Shown {
    id: DecisionId,
    at: Timestamp,
    gate: DecisionGate,
    policy: PolicyName,
    subject: String,
    question: String,
    outcome: DecisionOutcome,
    code: String,
    message: String,
}

impl Command {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show { server, decision } => {
                let path = format!("/api/v1/decisions/{decision}");
                let shown: serde_json::Value = server.operator().await?.get(&path).await?;
                println!("{}", serde_json::to_string_pretty(&shown).map_err(CliError::failed)?);
                Ok(())
            }
        }
    }
}

impl List {
    async fn run(self) -> Result<(), CliError> {
        let mut path = format!("/api/v1/decisions?limit={}", self.limit);
        if let Some(gate) = self.gate {
            path.push_str(&format!("&gate={}", gate.as_str()));
        }
        if let Some(subject) = &self.subject {
            if !subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(CliError::Failed(format!("`{subject}` is no identifier")));
            }
            path.push_str(&format!("&subject={subject}"));
        }
        let decisions: Decisions = self.server.operator().await?.get(&path).await?;
        for decision in decisions.items {
            println!("{}", decision.line());
        }
        Ok(())
    }
}

impl Gate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Targeting => "targeting",
            Self::Rollback => "rollback",
        }
    }
}

impl Shown {
    fn line(&self) -> String {
        let gate = match self.gate {
            DecisionGate::Authorization => Gate::Authorization,
            DecisionGate::Targeting => Gate::Targeting,
            DecisionGate::Rollback => Gate::Rollback,
        };
        format!(
            "{}  {:<13} {:<9} {:<9} {} {}: {} ({})  {}",
            self.at,
            gate.as_str(),
            self.policy,
            self.outcome.as_str(),
            self.subject,
            self.question,
            self.message,
            self.code,
            self.id
        )
    }
}
