//! Owns which device's presence is on which page, and which pages must be flushed.

use std::sync::atomic::{AtomicBool, Ordering};

use kernex_model::id::DeviceId;
use parking_lot::RwLock;

/// Devices on one page: a page of a thousand costs the store about as much as three single records.
pub(super) const DEVICES_PER_PAGE: usize = 1_024;
/// The page of a device that has none yet.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Page {
    devices: Vec<DeviceId>,
    dirty: AtomicBool,
}

/// The pages, by number.
#[derive(Debug, Default)]
pub(super) struct Pages(RwLock<Vec<Page>>);

impl Pages {
    /// Puts a device that has no page on the last one, or on a new one where that is full.
    pub(super) fn place(&self, device: DeviceId) -> u32 {
        let mut pages = self.0.write();
        if pages.last().is_none_or(|page| page.devices.len() >= DEVICES_PER_PAGE) {
            pages.push(Page::default());
        }
        let number = pages.len() - 1;
        if let Some(page) = pages.last_mut() {
            page.devices.push(device);
        }
        u32::try_from(number).unwrap_or(NONE)
    }

    /// Takes in a page as it was stored.
    pub(super) fn restore(&self, number: u32, devices: Vec<DeviceId>) {
        let Ok(index) = usize::try_from(number) else { return };
        let mut pages = self.0.write();
        while pages.len() <= index {
            pages.push(Page::default());
        }
        pages[index].devices = devices;
    }

    /// Notes that a device on the page was seen.
    pub(super) fn touch(&self, number: u32) {
        let pages = self.0.read();
        // Reading first keeps the cache line shared between cores while the page is dirty already.
        if let Some(page) = pages.get(number as usize)
            && !page.dirty.load(Ordering::Relaxed)
        {
            page.dirty.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the pages that were touched since the last call.
    pub(super) fn take_dirty(&self) -> Vec<(u32, Vec<DeviceId>)> {
        let pages = self.0.read();
        (0_u32..)
            .zip(pages.iter())
            .filter(|(_, page)| page.dirty.swap(false, Ordering::Relaxed))
            .map(|(number, page)| (number, page.devices.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernex_model::id::Ulid;

    #[test]
    fn only_touched_pages_are_flushed_once() {
        let pages = Pages::default();
        let count = DEVICES_PER_PAGE as u128 + 1;
        let numbers: Vec<u32> = (0..count).map(|n| pages.place(DeviceId(Ulid(n)))).collect();
        assert_eq!((numbers[0], numbers[DEVICES_PER_PAGE]), (0, 1));
        pages.touch(1);
        pages.touch(NONE);
        let dirty = pages.take_dirty();
        assert_eq!(dirty.len(), 1);
        assert_eq!((dirty[0].0, dirty[0].1.len()), (1, 1));
        assert!(pages.take_dirty().is_empty());
    }
}
