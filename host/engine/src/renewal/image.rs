//! What a memory began with, and putting that back where the memory was written to.
#![expect(unsafe_code, reason = "memories are mapped, and read and written beside the runtime")]

use std::ops::Range;
use std::os::fd::OwnedFd;

use wasmtime::Store;

use crate::sandbox::Sandbox;

use super::memory::Plot;

#[cfg_attr(target_os = "linux", path = "image/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "image/elsewhere.rs")]
mod kernel;

/// What is put back of one memory after a call, in bytes. An instance that has written to more is given up: making a
/// new one costs no more.
const PUT_BACK_BYTES: usize = 1 << 20;

/// What a memory begins with.
pub(super) struct Image {
    bytes: Box<[u8]>,
    /// The same as a file that is mapped under every memory: where a memory was not written to its pages are the file's.
    /// None where the kernel cannot tell.
    file: Option<OwnedFd>,
}

/// Whether an image lies under a memory now.
pub(super) enum Laid {
    /// It does.
    Under,
    /// The memory is as it was: it has something else in it than the image.
    Other,
    /// The memory is gone.
    Broken,
}

impl Image {
    /// What is in the memory of an instance in which nothing runs: that takes the store.
    pub(super) fn of(plot: &Plot, _idle: &mut Store<Sandbox>) -> Option<Self> {
        // SAFETY: the store of the plot's instance is borrowed, and the slice ends here.
        let bytes: Box<[u8]> = unsafe { plot.bytes() }.to_vec().into();
        let file = if kernel::tells_written_pages() { Some(kernel::file(&bytes).ok()?) } else { None };
        Some(Self { bytes, file }).filter(|image| image.file.is_some() || image.bytes.len() <= PUT_BACK_BYTES)
    }

    /// Lays it under a memory that has the same in it.
    pub(super) fn lay_under(&self, plot: &Plot, _idle: &mut Store<Sandbox>) -> Laid {
        // SAFETY: the store of the plot's instance is borrowed, and the slice ends here.
        if *unsafe { plot.bytes() } != *self.bytes {
            return Laid::Other;
        }
        match &self.file {
            Some(file) if !self.bytes.is_empty() => kernel::lay_under(file, plot),
            Some(_) | None => Laid::Under,
        }
    }

    /// Whether the memory is as large as it was.
    pub(super) fn fits(&self, plot: &Plot) -> bool {
        plot.size() == self.bytes.len()
    }

    /// Puts it back. `written` is where the memory has pages of its own, as far as that is known; where it may have more, it
    /// is looked for them. False where that cannot be done: the memory may have anything in it then.
    #[must_use]
    pub(super) fn put_back(
        &self,
        plot: &Plot,
        written: &mut Vec<Range<usize>>,
        maybe_more: bool,
        _idle: &mut Store<Sandbox>,
    ) -> bool {
        if !self.fits(plot) {
            return false;
        }
        // SAFETY: the store of the plot's instance is borrowed, and the slice ends with this call.
        let memory = unsafe { plot.bytes() };
        if self.file.is_none() {
            memory.copy_from_slice(&self.bytes);
            return true;
        }
        if maybe_more && !self.find_written(plot, written) {
            return false;
        }
        written.iter().all(|region| match (memory.get_mut(region.clone()), self.bytes.get(region.clone())) {
            (Some(memory), Some(image)) => {
                memory.copy_from_slice(image);
                true
            }
            _ => false,
        })
    }

    /// Looks where the memory has pages of its own: it was written to there. False where that is not to be found out, or
    /// they are too many.
    fn find_written(&self, plot: &Plot, written: &mut Vec<Range<usize>>) -> bool {
        written.clear();
        let mut from = 0;
        while from < self.bytes.len() {
            let Some(scan) = kernel::written(plot, from) else { return false };
            written.extend(scan.regions());
            // Where it stands still it would never end.
            if scan.end() <= from {
                return false;
            }
            from = scan.end();
        }
        written.iter().fold(0_usize, |sum, region| sum.saturating_add(region.len())) <= PUT_BACK_BYTES
    }
}

/// Whether this thread may have given a memory pages of its own since it asked this last.
pub(super) fn may_have_written_pages() -> bool {
    kernel::faulted()
}
