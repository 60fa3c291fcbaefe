//! Compiling a stranger's code in a process of its own: what it uses is limited by the operating system, and where
//! it fails the server goes on. Compile-time denial of service is outside of what the runtime promises to withstand.
//!
//! The child is the same program, started with an argument that makes it call [`serve`]. Over its standard input it
//! is given a [`Job`] as a line of JSON and the component; it answers with a byte, [`DONE`] or [`FAILED`], and then
//! what it made, or a [`PrepareError`] as JSON.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
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
const WALL: Duration = Duration::from_secs(COMPILE_TIME_S);
/// The most that a child may answer, in bytes.
const ANSWER_BYTES: u64 = 256 << 20;
/// Instances that the child needs at once; each reserves address space.
const INSTANCES: u32 = 2;

const DONE: u8 = 0;
const FAILED: u8 = 1;

/// What a child is to do with a component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    /// Look at it.
    Inspect,
    /// Configure, snapshot and compile it.
    Prepare { gate: Gate, settings: String },
}

/// The program that compiles, and the argument that makes it do so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    program: PathBuf,
    argument: &'static str,
}

impl Compiler {
    /// `program argument` is started for every compilation, without an environment; it calls
    /// [`compile_for_parent`](crate::compile_for_parent).
    #[must_use]
    pub fn new(program: PathBuf, argument: &'static str) -> Self {
        Self { program, argument }
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

    fn run(&self, job: &Job, component: &[u8]) -> Result<Vec<u8>, PrepareError> {
        let mut child = self.start().map_err(|error| broken(&error))?;
        let answer = ask(&mut child, job, component);
        if answer.is_none() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
        }
        let ended = child.wait().map_err(|error| broken(&error))?;
        let answer = answer.ok_or_else(|| Fault::Incompatible(format!("compiling it takes more than {WALL:?}")))?;
        match answer.split_first() {
            Some((&DONE, made)) if ended.success() => Ok(made.to_vec()),
            Some((&FAILED, error)) if ended.success() => {
                Err(serde_json::from_slice(error).unwrap_or_else(|error| broken(&error).into()))
            }
            _ => Err(exceeded(ended).into()),
        }
    }

    /// The limits are set by a shell, which then becomes the program.
    fn start(&self) -> io::Result<Child> {
        let limits = format!("ulimit -c 0 && ulimit -d {} && ulimit -t {CPU_S} && exec \"$@\"", MEMORY_MIB * 1_024);
        Command::new("/bin/sh")
            .args(["-c", &limits, "sh"])
            .arg(&self.program)
            .arg(self.argument)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// What the child answers; `None` where it takes too long. What it says is read while it is still being told: it
/// may give up early.
fn ask(child: &mut Child, job: &Job, component: &[u8]) -> Option<Vec<u8>> {
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
    // Whoever stops reading has answered, or has ended.
    let _ = told.write_all(&header).and_then(|()| told.write_all(b"\n")).and_then(|()| told.write_all(component));
    drop(told);
    receiver.recv_timeout(WALL).ok()
}

fn broken(error: &dyn std::error::Error) -> Fault {
    Fault::Unavailable(format!("the compiler could not be used: {error}"))
}

fn exceeded(ended: ExitStatus) -> Fault {
    Fault::Incompatible(format!(
        "compiling it takes more than {MEMORY_MIB} MiB of memory or {CPU_S} s of computing, or breaks the compiler \
         ({ended})"
    ))
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
