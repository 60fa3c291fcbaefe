//! What Linux tells of a process's pages, from 6.7 on.

use std::cell::Cell;
use std::ffi::c_void;
use std::fs::File;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::LazyLock;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::{Laid, Plot};

/// Regions that one scan finds.
const REGIONS: usize = 32;
/// A page of memory, or a whole number of them, in bytes.
const PAGE_BYTES: usize = 64 << 10;
/// The page is one of a file.
const FILE: u64 = 1 << 2;
/// The page is in memory.
const PRESENT: u64 = 1 << 3;
/// The page is where memory is swapped to.
const SWAPPED: u64 = 1 << 4;

/// `struct page_region` of `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// The ioctl `PAGEMAP_SCAN`.
struct Scanning<'a>(&'a mut Arguments);

// SAFETY: the operation takes such arguments, and writes to them and to the regions that they point to.
unsafe impl Ioctl for Scanning<'_> {
    type Output = usize;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Arguments>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(count: IoctlOutput, _: *mut c_void) -> rustix::io::Result<usize> {
        usize::try_from(count).map_err(|_| Errno::INVAL)
    }
}

/// Which pages of a memory were written to.
pub(super) struct Scan {
    regions: [Region; REGIONS],
    count: usize,
    base: u64,
    end: usize,
}

impl Scan {
    /// Where, counted from the memory's beginning. What the kernel should not say is no place in any memory.
    pub(super) fn regions(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let offset = |address: u64| address.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok());
        self.regions.iter().take(self.count).map(move |region| match (offset(region.start), offset(region.end)) {
            (Some(start), Some(end)) if start < end => start..end,
            _ => usize::MAX - 1..usize::MAX,
        })
    }

    /// How far it has come, counted from the memory's beginning.
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

/// This process's pages, as far as the kernel tells which of them were written to. A child that was forked, and did not
/// become another program, would have others; this program has none.
static PAGES: LazyLock<Option<File>> = LazyLock::new(|| {
    let pages = File::open("/proc/self/pagemap").ok()?;
    probe(&pages)?.then_some(pages)
});

pub(super) fn tells_written_pages() -> bool {
    PAGES.is_some()
}

/// Whether it is told which pages were written to: tried with two of which one was. None where nothing can be tried.
fn probe(pages: &File) -> Option<bool> {
    let file = file(&[1; 2 * PAGE_BYTES]).ok()?;
    let length = 2 * PAGE_BYTES;
    // SAFETY: a new mapping at a place that the kernel chooses touches no other memory.
    let base = unsafe { mmap(std::ptr::null_mut(), length, READ_WRITE, MapFlags::PRIVATE, file.as_fd(), 0) }
        .ok()?
        .cast::<u8>();
    let address = base.expose_provenance() as u64;
    let written = || {
        let scan = scan(pages, address..address + length as u64, address).ok()?;
        Some((scan.end == length).then(|| scan.regions().collect::<Vec<_>>()))
    };
    // SAFETY: the mapping has so many bytes, may be read and written, and nobody else knows of it.
    let read = unsafe { base.read_volatile() } == 1 && unsafe { base.byte_add(PAGE_BYTES).read_volatile() } == 1;
    let before = written();
    // SAFETY: as above.
    unsafe { base.byte_add(PAGE_BYTES).write_volatile(2) };
    let after = written();
    // SAFETY: the mapping is not used any more.
    unsafe { munmap(base.cast(), length) }.ok()?;
    let found = after??;
    let right = matches!(found.as_slice(), [only] if only.start == PAGE_BYTES && only.end <= length);
    Some(read && before??.is_empty() && right)
}

thread_local! {
    /// Page faults of this thread when it was last asked for them.
    static FAULTS: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Whether this thread may have had a page fault since it asked this last. A page of a file becomes a private one by a page
/// fault of the thread that writes to it, and by nothing else: where there was none, as many pages are private as before.
pub(super) fn faulted() -> bool {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: it is given a place for what it writes.
    let told = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } == 0;
    let faults = told.then(|| {
        // SAFETY: it was written.
        let usage = unsafe { usage.assume_init() };
        usage.ru_minflt.wrapping_add(usage.ru_majflt)
    });
    FAULTS.replace(faults) != faults || faults.is_none()
}

/// How memories may be used.
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

pub(super) fn file(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL;
    let mut file = File::from(memfd_create("kernex-image", flags)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Maps the file, which has the same bytes, in place of the memory.
pub(super) fn lay_under(file: &OwnedFd, plot: &Plot) -> Laid {
    let (base, size) = (plot.base(), plot.size());
    // SAFETY: it takes the place of pages of the plot that are accessible, and the file has as many bytes as they are, the
    // same ones. Whoever has references to them has the store, which the caller of `Image::lay_under` keeps.
    if unsafe { mmap(base, size, READ_WRITE, MapFlags::PRIVATE | MapFlags::FIXED, file.as_fd(), 0) }.is_ok() {
        return Laid::Under;
    }
    // What was there may be gone, and the place given to anybody: it is taken back before that, or nothing is safe any more.
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: the place is the plot's, whether anything is mapped there now or not.
    if unsafe { mmap_anonymous(base, size, ProtFlags::empty(), flags) }.is_err() {
        std::process::abort();
    }
    Laid::Broken
}

/// Pages from `from` on that are no longer the file's: a private page takes the place of one that is written to. None where
/// the kernel does not tell.
pub(super) fn written(plot: &Plot, from: usize) -> Option<Scan> {
    let base = plot.base().expose_provenance() as u64;
    let (from, end) = (from as u64, plot.size() as u64);
    scan(PAGES.as_ref()?, base + from..base + end, base).ok()
}

fn scan(pages: &File, range: Range<u64>, base: u64) -> rustix::io::Result<Scan> {
    let mut regions = [Region::default(); REGIONS];
    let mut arguments = Arguments {
        size: size_of::<Arguments>() as u64,
        start: range.start,
        end: range.end,
        // The kernel writes there.
        regions: regions.as_mut_ptr().expose_provenance() as u64,
        regions_len: REGIONS as u64,
        category_inverted: FILE,
        category_mask: FILE,
        category_anyof_mask: PRESENT | SWAPPED,
        ..Arguments::default()
    };
    // SAFETY: the arguments are those of the operation; the regions that they point to are as many as they say, and live
    // until it has ended. Which pages it looks at is no matter of memory safety: it changes none.
    let count = unsafe { ioctl(pages, Scanning(&mut arguments)) }?;
    let end = usize::try_from(arguments.walk_end.saturating_sub(base)).unwrap_or(usize::MAX);
    Ok(Scan { regions, count, base, end })
}
