//! A list that only grows, in pages: appending never moves what is there, so no append pays for all before it.

/// Items per page; a power of two.
const PAGE_ITEMS: usize = 4096;

/// An append-only list. Items never move once the first page is full.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Vec<T>>,
    len: usize,
}

impl<T> Pages<T> {
    pub(crate) const fn new() -> Pages<T> {
        Pages { pages: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends an item and returns its number.
    pub(crate) fn push(&mut self, item: T) -> usize {
        let at = self.len;
        if at.is_multiple_of(PAGE_ITEMS) {
            // The first page grows with its content: there may be many short lists.
            self.pages.push(if at == 0 { Vec::new() } else { Vec::with_capacity(PAGE_ITEMS) });
        }
        self.pages[at / PAGE_ITEMS].push(item);
        self.len += 1;
        at
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE_ITEMS)?.get(at % PAGE_ITEMS)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pages.get_mut(at / PAGE_ITEMS)?.get_mut(at % PAGE_ITEMS)
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// How many items at the start satisfy `holds`, which must be true for a prefix and false after it.
    pub(crate) fn partition_point(&self, holds: impl Fn(&T) -> bool) -> usize {
        // The prefix ends in the last page it begins.
        let begun = self.pages.partition_point(|page| page.first().is_some_and(&holds));
        let Some(page) = begun.checked_sub(1) else { return 0 };
        page * PAGE_ITEMS + self.pages[page].partition_point(holds)
    }
}

impl<T> std::ops::Index<usize> for Pages<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.pages[at / PAGE_ITEMS][at % PAGE_ITEMS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_numbers_across_pages() {
        let mut list = Pages::new();
        for n in 0..3 * PAGE_ITEMS + 5 {
            assert_eq!(list.push(n), n);
            assert_eq!(list.last(), Some(&n));
        }
        assert_eq!(list.len(), 3 * PAGE_ITEMS + 5);
        assert!((0..list.len()).all(|n| list[n] == n));
        assert_eq!((list[PAGE_ITEMS], list.get(list.len())), (PAGE_ITEMS, None));
    }

    #[test]
    fn a_prefix_ends_where_a_plain_search_says() {
        let mut list = Pages::new();
        assert_eq!(list.partition_point(|_: &usize| true), 0);
        for n in 0..2 * PAGE_ITEMS + 7 {
            assert_eq!(list.partition_point(|_| true), n);
            list.push(n);
        }
        for bound in [0, 1, PAGE_ITEMS - 1, PAGE_ITEMS, PAGE_ITEMS + 1, 2 * PAGE_ITEMS, 3 * PAGE_ITEMS] {
            assert_eq!(list.partition_point(|n| *n < bound), bound.min(list.len()), "bound {bound}");
        }
    }
}
