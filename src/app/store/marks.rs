//! Which jobs a person marked. A mark belongs to the job: it survives sorting, filtering and scrolling, and goes when
//! the job's row goes.

use serde::{Deserialize, Serialize};

/// A set of row indexes. An index stays a job's own for as long as its row exists, so this is a set of jobs at
/// one bit each. Taken care of by the view that owns it; never fed from outside with indexes of another store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    bits: Vec<u64>,
    count: usize,
}

impl Marks {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether that row is marked.
    pub fn has(&self, index: u32) -> bool {
        self.bits.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Marks or unmarks.
    pub fn set(&mut self, index: u32, marked: bool) {
        if self.has(index) == marked {
            return;
        }
        let word = index as usize / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] ^= 1 << (index % 64);
        self.count = if marked { self.count + 1 } else { self.count - 1 };
    }

    /// Unmarks everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The marked indexes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().zip(0_u32..).flat_map(|(&word, number)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| number * 64 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_holds() {
        let mut marks = Marks::default();
        marks.set(3, true);
        marks.set(3, true);
        marks.set(700, true);
        marks.set(9, false);
        assert_eq!((marks.len(), marks.iter().collect::<Vec<_>>()), (2, vec![3, 700]));
        marks.set(3, false);
        assert!(!marks.has(3) && marks.has(700));
        marks.clear();
        assert!(marks.is_empty());
    }
}
