//! Compiling a stranger's code in a process of its own: what it uses is limited by the operating system, and where
//! it fails the server goes on. Compile-time denial of service is outside of what the runtime promises to withstand.
//!
//! The child is the same program, started with an argument that makes it call [`serve`]. Over its standard input it
//! is given a [`Job`] as a line of JSON and the component; it answers with a byte, [`DONE`] or [`FAILED`], and then
//! what it made, or a [`PrepareError`] as JSON.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use kernex_model::policy::{Fault, Gate};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::inspect::Inspection;
use crate::limits::Limits;
use crate::native::Native;
use crate::prepare::PrepareError;

/// Memory that the child may write to, in MiB. A component of 8 MiB compiles in a third of it.
const MEMORY_MIB: u64 = 1_024;
/// Time that the child may compute, all threads together, in seconds.
const CPU_S: u64 = 60;
/// How long compiling a plugin in a process of its own may take, in seconds.
pub const COMPILE_TIME_S: u64 = 60;
/// Children that run at once: each may take a gigabyte, and the cores are for those who are served.
const AT_ONCE: u32 = 2;
/// How long a compilation waits for its turn, in seconds. Together with [`COMPILE_TIME_S`] it is less than the call
/// behind it may take.
const WAIT_S: u64 = 20;
/// The most that a child may answer, in bytes.
const ANSWER_BYTES: u64 = 256 << 20;
/// Instances that the child needs at once; each reserves address space.
const INSTANCES: u32 = 2;

const DONE: u8 = 0;
const FAILED: u8 = 1;

/// The shell's exit codes for a program that it cannot start, and for one that it does not find.
const CANNOT_START: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What a child is to do with a component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    /// Look at it.
    Inspect,
    /// Configure, snapshot and compile it.
    Prepare { gate: Gate, settings: String },
}

/// What compiling one plugin may use, and how many are compiled at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Memory that a child may write to, in MiB.
    pub memory_mib: u64,
    /// Time that a child may compute, all threads together, in seconds.
    pub cpu_s: u64,
    /// Time that may pass until a child has answered, in milliseconds.
    pub wall_ms: u64,
    /// Children that run at once.
    pub at_once: u32,
    /// How long a compilation waits until one of them has ended, in milliseconds; then it is refused.
    pub wait_ms: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_mib: MEMORY_MIB,
            cpu_s: CPU_S,
            wall_ms: COMPILE_TIME_S * 1_000,
            at_once: AT_ONCE,
            wait_ms: WAIT_S * 1_000,
        }
    }
}

/// The program that compiles, and the argument that makes it do so. Its clones count their children together.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    argument: &'static str,
    limits: CompileLimits,
    running: Arc<Running>,
}

impl Compiler {
    /// `program argument` is started for every compilation, without an environment; it calls
    /// [`compile_for_parent`](crate::compile_for_parent).
    #[must_use]
    pub fn new(program: PathBuf, argument: &'static str) -> Self {
        Self { program, argument, limits: CompileLimits::default(), running: Arc::default() }
    }

    /// The same program within other limits.
    #[must_use]
    pub fn limited_to(self, limits: CompileLimits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn inspect(&self, component: &[u8]) -> Result<Inspection, Fault> {
        match self.run(&Job::Inspect, component) {
            Ok(answer) => serde_json::from_slice(&answer).map_err(|error| broken(&error)),
            Err(PrepareError::Fault(fault)) => Err(fault),
            // Only preparing ends otherwise.
            Err(error) => Err(broken(&error)),
        }
    }

    pub(crate) fn prepare(&self, component: &[u8], gate: Gate, settings: &str) -> Result<Native, PrepareError> {
        let answer = self.run(&Job::Prepare { gate, settings: settings.to_owned() }, component)?;
        Ok(Native::vouched_for(answer))
    }

    /// Waits for its turn on this thread, which may block as long as compiling does.
    fn run(&self, job: &Job, component: &[u8]) -> Result<Vec<u8>, PrepareError> {
        let CompileLimits { at_once, wait_ms, .. } = self.limits;
        let answered = match self.running.begin(at_once, Duration::from_millis(wait_ms)) {
            Some(_turn) => self.answered(job, component),
            None => Err(Fault::Unavailable(format!("{at_once} plugins are compiled at the same time already")).into()),
        };
        if let Err(PrepareError::Fault(fault @ Fault::Unavailable(_))) = &answered {
            // Whoever asked is told no more than to come again.
            tracing::warn!(program = %self.program.display(), %fault, "a plugin could not be compiled");
        }
        answered
    }

    fn answered(&self, job: &Job, component: &[u8]) -> Result<Vec<u8>, PrepareError> {
        let wall = Duration::from_millis(self.limits.wall_ms);
        let mut child = self.start().map_err(|error| broken(&error))?;
        let answer = ask(&mut child, job, component, wall);
        if answer.is_none() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
        }
        let ended = child.wait().map_err(|error| broken(&error))?;
        let answer = answer.ok_or_else(|| Fault::Incompatible(format!("compiling it takes more than {wall:?}")))?;
        if !ended.success() {
            return Err(self.unfinished(ended).into());
        }
        match answer.split_first() {
            Some((&DONE, made)) => Ok(made.to_vec()),
            Some((&FAILED, error)) => Err(serde_json::from_slice(error).unwrap_or_else(|error| broken(&error).into())),
            // It would have failed in the middle of an answer, and never ends well without one.
            _ => Err(Fault::Unavailable("the compiler could not be used: it said nothing".to_owned()).into()),
        }
    }

    /// The limits are set by a shell, which then becomes the program. Where it cannot set them it does not.
    fn start(&self) -> io::Result<Child> {
        let CompileLimits { memory_mib, cpu_s, .. } = self.limits;
        let script = format!(
            "ulimit -c 0 && ulimit -d {} && ulimit -t {cpu_s} || exit {CANNOT_START}; exec \"$@\"",
            memory_mib.saturating_mul(1_024)
        );
        Command::new("/bin/sh")
            .args(["-c", &script, "sh"])
            .arg(&self.program)
            .arg(self.argument)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }

    /// What it means that the child has ended otherwise than well: a program that cannot be started is no plugin's
    /// fault.
    fn unfinished(&self, ended: ExitStatus) -> Fault {
        let CompileLimits { memory_mib, cpu_s, .. } = self.limits;
        match ended.code() {
            Some(CANNOT_START | NOT_FOUND) => {
                Fault::Unavailable(format!("the compiler could not be used: it does not start ({ended})"))
            }
            Some(_) | None => Fault::Incompatible(format!(
                "compiling it takes more than {memory_mib} MiB of memory or {cpu_s} s of computing, or breaks the \
                 compiler ({ended})"
            )),
        }
    }
}

/// How many children run.
#[derive(Debug, Default)]
struct Running {
    count: Mutex<u32>,
    ended: Condvar,
}

/// Leave to run one child, until it is dropped.
struct Turn<'a>(&'a Running);

impl Running {
    /// One more, as soon as fewer than `at_once` run; `None` where that takes longer than `patience`.
    fn begin(&self, at_once: u32, patience: Duration) -> Option<Turn<'_>> {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(count, patience, |count| *count >= at_once);
        let (mut count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *count >= at_once {
            return None;
        }
        *count += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

/// What the child answers; `None` where it takes too long, which it also may by not listening. What it says is read
/// while it is still being told: it may give up early.
fn ask(child: &mut Child, job: &Job, component: &[u8], wall: Duration) -> Option<Vec<u8>> {
    let (mut told, answered) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        // A child that was killed leaves half an answer, which its exit status tells from a whole one.
        let _ = answered.take(ANSWER_BYTES).read_to_end(&mut answer);
        // Nobody waits any more if it took too long.
        let _ = sender.send(answer);
    });
    let header = serde_json::to_vec(job).unwrap_or_default();
    let all = [&header[..], b"\n", component].concat();
    // Whoever stops reading has answered, or has ended; then this thread ends, too.
    std::thread::spawn(move || told.write_all(&all));
    receiver.recv_timeout(wall).ok()
}

fn broken(error: &dyn std::error::Error) -> Fault {
    Fault::Unavailable(format!("the compiler could not be used: {error}"))
}

/// The child's side: reads one job from `input`, does it, and writes the answer to `output`.
///
/// # Errors
/// Where either cannot be used, or the runtime does not start.
pub(crate) fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut told = Vec::new();
    input.read_to_end(&mut told)?;
    let (job, component) = split_line(&told).ok_or_else(|| io::Error::other("there is no job"))?;
    let job: Job = serde_json::from_slice(job)?;
    let limits = Limits { concurrent_instances: INSTANCES, ..Limits::default() };
    let engine = Engine::new(limits).map_err(io::Error::other)?;
    let made = match job {
        Job::Inspect => engine
            .inspected(component)
            .map_err(PrepareError::Fault)
            .and_then(|found| serde_json::to_vec(&found).map_err(|error| broken(&error).into())),
        Job::Prepare { gate, settings } => {
            engine.native(component, gate, &settings).map(|native| native.bytes().to_vec())
        }
    };
    match made {
        Ok(made) => {
            output.write_all(&[DONE])?;
            output.write_all(&made)?;
        }
        Err(error) => {
            output.write_all(&[FAILED])?;
            serde_json::to_writer(&mut output, &error)?;
        }
    }
    output.flush()
}

fn split_line(told: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = told.iter().position(|byte| *byte == b'\n')?;
    Some((&told[..end], &told[end + 1..]))
}
