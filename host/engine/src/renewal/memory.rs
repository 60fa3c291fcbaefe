//! Linear memories that are ours, so that what is in them can be put back.
#![expect(unsafe_code, reason = "the runtime takes memories from its embedder on trust, and mappings are made by hand")]

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

thread_local! {
    /// Memories that were made on this thread, where somebody wants to know.
    static MADE: RefCell<Option<Vec<Arc<Plot>>>> = const { RefCell::new(None) };
}

/// Runs code that makes instances. Gives the memories that were made for them, too.
pub(crate) fn collecting<T>(make: impl FnOnce() -> T) -> (T, Vec<Arc<Plot>>) {
    struct Forgetting;

    impl Drop for Forgetting {
        fn drop(&mut self) {
            MADE.set(None);
        }
    }

    MADE.set(Some(Vec::new()));
    let _forgetting = Forgetting;
    let made = make();
    (made, MADE.take().unwrap_or_default())
}

/// Makes memories.
pub(crate) struct Memories;

// SAFETY: a `Plot` has what is asked for: `reserved` bytes from its base on that nobody else has, and `guard` bytes behind
// them that are never accessible. They read as zero, and the base never moves.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let reserved = reserved.unwrap_or(0).max(maximum.unwrap_or(minimum)).max(minimum);
        let plot = Plot::new(reserved, guard).map_err(|error| error.to_string())?;
        plot.open(minimum).map_err(|error| error.to_string())?;
        let plot = Arc::new(plot);
        MADE.with_borrow_mut(|made| made.as_mut().map(|made| made.push(plot.clone())));
        Ok(Box::new(Memory(plot)))
    }
}

/// Address space for one memory, of which the first part is accessible. What lies before and behind it never is.
pub(crate) struct Plot {
    mapping: NonNull<c_void>,
    mapped: usize,
    guard: usize,
    reserved: usize,
    size: AtomicUsize,
}

// SAFETY: the mapping belongs to the plot alone, and is at the same place for every thread. What is in it is read and
// written by the one who has the store in which it is a memory, as the method that gives access to it asks for.
unsafe impl Send for Plot {}
// SAFETY: as above; what changes without the store is atomic.
unsafe impl Sync for Plot {}

impl Plot {
    fn new(reserved: usize, guard: usize) -> rustix::io::Result<Self> {
        let mapped = guard.checked_mul(2).and_then(|guards| guards.checked_add(reserved)).ok_or(Errno::NOMEM)?;
        let (access, flags) = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping at a place that the kernel chooses touches no other memory.
        let mapping = unsafe { mmap_anonymous(ptr::null_mut(), mapped, access, flags) }?;
        let mapping = NonNull::new(mapping).ok_or(Errno::NOMEM)?;
        Ok(Self { mapping, mapped, guard, reserved, size: AtomicUsize::new(0) })
    }

    /// Makes it accessible up to `size` bytes.
    fn open(&self, size: usize) -> rustix::io::Result<()> {
        let before = self.size();
        if size < before || size > self.reserved {
            return Err(Errno::NOMEM);
        }
        let more = self.base().wrapping_byte_add(before);
        // SAFETY: these bytes are in the mapping, and were not accessible, so nothing depends on what they were.
        unsafe { mprotect(more, size - before, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    /// How much of it is accessible, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Acquire)
    }

    /// Where it begins.
    pub(super) fn base(&self) -> *mut c_void {
        self.mapping.as_ptr().wrapping_byte_add(self.guard)
    }

    /// What is in it.
    ///
    /// # Safety
    /// Whoever calls it has the store to which the memory belongs, and keeps it from anybody else for as long as the
    /// slice lives; and there is no other slice.
    #[expect(clippy::mut_from_ref, reason = "what lies in a mapping is borrowed by the rules above")]
    pub(super) unsafe fn bytes(&self) -> &mut [u8] {
        // SAFETY: these bytes are accessible as long as the plot is there. They change only while a function of the
        // store's instances is called, and that takes the store, which the caller keeps.
        unsafe { std::slice::from_raw_parts_mut(self.base().cast(), self.size()) }
    }
}

impl Drop for Plot {
    fn drop(&mut self) {
        // SAFETY: the mapping is the plot's own. Whoever uses it has a clone of the `Arc` around the plot: the runtime's
        // memory, and the renewal of the instance.
        let unmapped = unsafe { munmap(self.mapping.as_ptr(), self.mapped) };
        debug_assert!(unmapped.is_ok(), "it was mapped");
    }
}

/// The runtime's side of a plot.
struct Memory(Arc<Plot>);

// SAFETY: what it tells of the plot is true, and the base does not move when it grows.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.0.size()
    }

    fn byte_capacity(&self) -> usize {
        self.0.reserved
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        Ok(self.0.open(new_size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.0.base().cast()
    }
}
