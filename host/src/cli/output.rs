//! Owns standard output: how a command prints its result, and how it ends where nobody reads it.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// What a command ends with that could not print its result: as for every other failure.
const EXIT_NOT_PRINTED: i32 = 1;

/// `println!` that does not panic where nobody reads any more, as after `| head -1`: the process ends.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::output::line(format_args!($($text)*))
    };
}

/// `print!` that does not panic where nobody reads any more: the process ends.
macro_rules! say_no_newline {
    ($($text:tt)*) => {
        $crate::cli::output::text(format_args!($($text)*))
    };
}

pub(super) use say;
pub(super) use say_no_newline;

/// Prints a line; see [`say!`].
pub(super) fn line(text: Arguments<'_>) {
    self::text(format_args!("{text}\n"));
}

/// Prints a text; see [`say_no_newline!`]. Not for where something is still to be closed: this may be the end.
pub(super) fn text(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) else { return };
    // Whoever has closed the pipe has seen enough, and knows it.
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("kernex: cannot print: {error}");
    }
    std::process::exit(EXIT_NOT_PRINTED);
}
