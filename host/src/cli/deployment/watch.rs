//! Owns following a deployment until nothing more happens by itself: through restarts of the server, until Ctrl-C.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, ProgressDrawTarget};
use kernex_model::bundle::Bundle;
use kernex_model::deployment::DeploymentState;
use kernex_model::id::DeploymentId;
use kernex_model::time::Timestamp;

use super::super::CliError;
use super::super::operator::Server;
use super::Output;
use super::shown::Seen;
use super::view::{self, Live};
use crate::app::context::{Clock, SystemClock};

/// How often a watched deployment is read.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// How often the view is drawn: its clock goes on while an answer is waited for.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);
/// How long a server may be silent before the view says so.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a server may be silent before it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Shows a deployment and what changes, until it is settled.
///
/// # Errors
/// [`CliError::NotCompleted`] where the deployment ends otherwise than completed; any other says how to come back.
pub(super) async fn watch(server: &Server, first: Seen, output: Output) -> Result<(), CliError> {
    let id = first.shown.id;
    let mut screen = Screen::new(server, &first, output).await;
    let ended = tokio::select! {
        ended = follow(server, first, &mut screen) => ended,
        interrupted = tokio::signal::ctrl_c() => Err(match interrupted {
            Ok(()) => CliError::Interrupted("not watching any more".to_owned()),
            Err(error) => CliError::failed(error),
        }),
    };
    let last = ended.map_err(|error| {
        screen.leave();
        let text = format!("{error}; {}", way_back(server, id));
        if matches!(error, CliError::Interrupted(_)) { CliError::Interrupted(text) } else { CliError::Failed(text) }
    })?;
    outcome(id, last.shown.state)
}

/// Whether a settled deployment came to what it was created for.
fn outcome(id: DeploymentId, state: DeploymentState) -> Result<(), CliError> {
    match state {
        DeploymentState::Completed => Ok(()),
        DeploymentState::Draft
        | DeploymentState::AwaitingApproval
        | DeploymentState::Running
        | DeploymentState::Paused
        | DeploymentState::Halted
        | DeploymentState::Cancelled
        | DeploymentState::RollingBack
        | DeploymentState::RolledBack => Err(CliError::NotCompleted(format!("{id} is {}", state.as_str()))),
    }
}

/// The deployment is the server's; whoever watches it may go and come.
fn way_back(server: &Server, id: DeploymentId) -> String {
    let at = server.server.as_ref().map(|url| format!(" --server {url}")).unwrap_or_default();
    format!(
        "that does not end the deployment\n  to come back: kernex deployment watch {id}{at}\n  to end it:    kernex deployment cancel {id}{at}"
    )
}

/// Gives the deployment as it is in the end.
async fn follow(server: &Server, mut seen: Seen, screen: &mut Screen) -> Result<Seen, CliError> {
    let mut line = Connection::new();
    screen.begin(&seen)?;
    while !seen.shown.settled {
        match next(server, &seen, screen, &line).await {
            Ok(now) => {
                if line.mended() {
                    screen.note("the server answers again");
                }
                screen.change(&seen, &now)?;
                seen = now;
            }
            Err(error) if passes(&error) && line.silent_for() < PATIENCE => {
                if line.broke(&error) {
                    screen.note(&format!("{error}; trying again"));
                }
            }
            Err(error) => return Err(error),
        }
    }
    screen.end(&seen)?;
    Ok(seen)
}

/// The next answer. The login is asked for each time, because a deployment may take longer than an access
/// token lives.
async fn next(server: &Server, seen: &Seen, screen: &mut Screen, line: &Connection) -> Result<Seen, CliError> {
    let answer = async {
        tokio::time::sleep(READ_INTERVAL).await;
        Seen::read(&server.operator().await?, seen.shown.id).await
    };
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(REDRAW_INTERVAL) => screen.tick(seen, line),
        }
    }
}

/// Whether the server may answer a little later.
fn passes(error: &CliError) -> bool {
    match error {
        CliError::Api(error) => error.passing().is_some(),
        CliError::Settings(_)
        | CliError::Start(_)
        | CliError::NotCompleted(_)
        | CliError::Interrupted(_)
        | CliError::Failed(_) => false,
    }
}

/// When the server answered last, and what went wrong since.
struct Connection {
    answered: Instant,
    trouble: Option<String>,
}

impl Connection {
    fn new() -> Self {
        Self { answered: Instant::now(), trouble: None }
    }

    fn silent_for(&self) -> Duration {
        self.answered.elapsed()
    }

    /// Returns whether that is news.
    fn broke(&mut self, error: &CliError) -> bool {
        self.trouble.replace(error.to_string()).is_none()
    }

    /// There is an answer. Returns whether that is news.
    fn mended(&mut self) -> bool {
        self.answered = Instant::now();
        self.trouble.take().is_some()
    }

    /// For the view; `None` while all is well.
    fn complaint(&self) -> Option<String> {
        let silent = self.silent_for();
        if self.trouble.is_none() && silent < SILENCE {
            return None;
        }
        let why = self.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        Some(format!("no answer for {}, trying again{why}", FormattedDuration(silent)))
    }
}

/// How it is shown.
enum Screen {
    /// Drawn in place. With the name and version of what is deployed.
    Live { live: Live, what: String },
    /// A line for each change.
    Lines,
    /// An object for each change.
    Json,
}

impl Screen {
    async fn new(server: &Server, first: &Seen, output: Output) -> Self {
        match output {
            Output::Json => Self::Json,
            Output::Text if draws() => {
                Self::Live { live: Live::new(ProgressDrawTarget::stdout()), what: what(server, first).await }
            }
            Output::Text => Self::Lines,
        }
    }

    fn begin(&mut self, seen: &Seen) -> Result<(), CliError> {
        match self {
            Self::Live { live, what } => live.draw(&view::picture(&seen.shown, what, now(), None)),
            Self::Lines if seen.shown.settled => {}
            Self::Lines => print(&seen.shown.describe())?,
            Self::Json => print_document(seen)?,
        }
        Ok(())
    }

    fn change(&mut self, before: &Seen, now: &Seen) -> Result<(), CliError> {
        match self {
            // It is drawn with the next tick or at the end.
            Self::Live { .. } => {}
            Self::Lines => {
                let change = now.shown.difference(&before.shown);
                if !change.is_empty() {
                    print(&format!("{}  {change}\n", chrono::Local::now().format("%H:%M:%S")))?;
                }
            }
            Self::Json if now.differs_from(before) => print_document(now)?,
            Self::Json => {}
        }
        Ok(())
    }

    fn tick(&mut self, seen: &Seen, line: &Connection) {
        match self {
            Self::Live { live, what } => {
                live.draw(&view::picture(&seen.shown, what, now(), line.complaint().as_deref()));
            }
            Self::Lines | Self::Json => {}
        }
    }

    /// About the watching itself: not on standard output, which is about the deployment.
    fn note(&self, text: &str) {
        match self {
            // The view has a line of its own for it.
            Self::Live { .. } => {}
            Self::Lines | Self::Json => eprintln!("kernex: {text}"),
        }
    }

    fn end(&mut self, seen: &Seen) -> Result<(), CliError> {
        match self {
            Self::Live { live, what } => {
                live.draw(&view::picture(&seen.shown, what, now(), None));
                live.leave();
                print(&format!("\n{}\n", view::summary(&seen.shown, now())))
            }
            Self::Lines => print(&seen.shown.describe()),
            Self::Json => Ok(()),
        }
    }

    /// Lets what is printed next stand below what is shown.
    fn leave(&mut self) {
        if let Self::Live { live, .. } = self {
            live.leave();
            // What is said next is about something worse than a terminal that takes no more.
            let _ = print("\n");
        }
    }
}

/// Whether standard output is a terminal whose cursor can be moved.
fn draws() -> bool {
    std::io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|terminal| terminal != "dumb")
}

/// What is deployed, by name and version where the caller may know them.
async fn what(server: &Server, first: &Seen) -> String {
    let Some(id) = first.shown.bundle_id else { return "a config".to_owned() };
    let bundle =
        async { Ok::<Bundle, CliError>(server.operator().await?.get(&format!("/api/v1/bundles/{id}")).await?) };
    match bundle.await {
        Ok(bundle) => format!("{} {}", bundle.name, bundle.version),
        Err(_) => id.to_string(),
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn print_document(seen: &Seen) -> Result<(), CliError> {
    print(&format!("{}\n", seen.document))
}

/// Fails where nobody reads any more.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CliError::Failed(format!("cannot print: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::ApiError;
    use super::*;

    #[test]
    fn only_what_passes_is_waited_for() {
        assert!(passes(&ApiError::Transport("connection refused".to_owned()).into()));
        let answered = |status| -> CliError {
            ApiError::Problem { status, code: String::new(), detail: String::new(), retry_after: None }.into()
        };
        assert!(passes(&answered(503)) && passes(&answered(429)));
        assert!(!passes(&answered(403)) && !passes(&CliError::Failed("nobody is logged in".to_owned())));
    }

    #[test]
    fn only_a_completed_deployment_ends_well() {
        let id: DeploymentId = "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse().expect("an identifier");
        assert!(outcome(id, DeploymentState::Completed).is_ok());
        for state in [DeploymentState::RolledBack, DeploymentState::Cancelled, DeploymentState::Halted] {
            let error = outcome(id, state).expect_err("not what it was created for");
            assert_eq!(error.exit_code(), 6);
            assert_eq!(error.to_string(), format!("{id} is {}", state.as_str()));
        }
    }

    #[test]
    fn an_outage_is_news_once() {
        let mut line = Connection::new();
        assert_eq!(line.complaint(), None);
        let refused = CliError::Failed("connection refused".to_owned());
        assert!(line.broke(&refused) && !line.broke(&refused));
        assert_eq!(line.complaint().as_deref(), Some("no answer for 00:00:00, trying again: connection refused"));
        assert!(line.mended() && !line.mended());
        line.answered -= SILENCE;
        assert_eq!(line.complaint().as_deref(), Some("no answer for 00:00:05, trying again"));
    }

    #[test]
    fn the_way_back_leads_to_the_same_server() {
        let id: DeploymentId = "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D".parse().expect("an identifier");
        let server = |server: Option<&str>| Server { server: server.map(str::to_owned), token: None };
        assert!(way_back(&server(None), id).contains("watch dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D\n"));
        let there = way_back(&server(Some("http://there:8080")), id);
        assert!(there.contains("watch dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D --server http://there:8080\n"), "{there}");
    }
}
