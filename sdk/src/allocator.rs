//! The allocator of a plugin: an instance begins anew with every decision, or every few, so memory is handed out in order
//! and only the latest block is ever taken back. It is the smallest and the fastest that will do.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

/// WebAssembly's page size, in bytes.
const PAGE_BYTES: usize = 65_536;
/// What a configured plugin has free, in bytes: enough for most decisions. The host starts each of them from the
/// configured memory, and one that had to grow it would cost about twice as much.
const ROOM_BYTES: usize = 32 << 10;

unsafe extern "C" {
    /// Where static data ends; its address, not its content, is meaningful. Defined by the linker.
    static __heap_base: u8;
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { next: UnsafeCell::new(0), end: UnsafeCell::new(0) };

struct Bump {
    /// The first free address; 0 before the first allocation.
    next: UnsafeCell<usize>,
    /// Where memory ends now.
    end: UnsafeCell<usize>,
}

// SAFETY: wasm32-unknown-unknown without the `atomics` feature has one thread.
unsafe impl Sync for Bump {}

/// Makes room for decisions, once the plugin is configured. Where the host refuses it, decisions ask for it themselves.
pub(crate) fn leave_room() {
    // SAFETY: one thread, and no borrow of the cells outlives this call.
    unsafe {
        let _ = ALLOCATOR.reach(*ALLOCATOR.next.get() + ROOM_BYTES);
    }
}

impl Bump {
    /// Makes memory reach to `needed`; false when the host refuses.
    ///
    /// # Safety
    ///
    /// No other borrow of the cells is alive: they are only touched within one call each.
    unsafe fn reach(&self, needed: usize) -> bool {
        // SAFETY: see above.
        unsafe {
            let current = core::arch::wasm32::memory_size(0) * PAGE_BYTES;
            *self.end.get() = current;
            if needed <= current {
                return true;
            }
            let pages = (needed - current).div_ceil(PAGE_BYTES);
            if core::arch::wasm32::memory_grow(0, pages) == usize::MAX {
                return false;
            }
            *self.end.get() = current + pages * PAGE_BYTES;
            true
        }
    }
}

// SAFETY: blocks are disjoint, because `next` only moves past a block when it is handed out and
// back to a block's start when that block, the latest, is freed; they are within memory, because
// `reach` grew it; they are aligned, because the start is rounded up.
unsafe impl GlobalAlloc for Bump {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no borrow of the cells outlives this call.
        unsafe {
            let mut next = *self.next.get();
            if next == 0 {
                next = &raw const __heap_base as usize;
            }
            let start = (next + layout.align() - 1) & !(layout.align() - 1);
            let Some(after) = start.checked_add(layout.size()) else {
                return core::ptr::null_mut();
            };
            if after > *self.end.get() && !self.reach(after) {
                return core::ptr::null_mut();
            }
            *self.next.get() = after;
            start as *mut u8
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: one thread; the block is the caller's, and the latest if it ends at `next`.
        unsafe {
            if block as usize + layout.size() == *self.next.get() {
                *self.next.get() = block as usize;
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as for `alloc` and `dealloc`; both blocks are at least as long as what is copied,
        // and they do not overlap, because the old one is still handed out.
        unsafe {
            if block as usize + layout.size() == *self.next.get() {
                let Some(after) = (block as usize).checked_add(new_size) else {
                    return core::ptr::null_mut();
                };
                if after > *self.end.get() && !self.reach(after) {
                    return core::ptr::null_mut();
                }
                *self.next.get() = after;
                return block;
            }
            if new_size <= layout.size() {
                return block;
            }
            let fresh = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !fresh.is_null() {
                core::ptr::copy_nonoverlapping(block, fresh, layout.size());
            }
            fresh
        }
    }
}
