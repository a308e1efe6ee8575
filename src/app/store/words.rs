//! Words that many rows share (tags, reasons), each kept once and counted, so that a word nobody uses any more
//! is given back.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The symbol of "none".
pub(crate) const NONE: u32 = u32::MAX;
const CHUNK: usize = 256;

/// The words by symbol, shared with snapshots until one changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct WordList {
    chunks: Vec<Arc<Vec<Option<Arc<str>>>>>,
}

impl WordList {
    pub(crate) fn get(&self, symbol: u32) -> Option<&str> {
        let chunk = self.chunks.get(symbol as usize / CHUNK)?;
        chunk.get(symbol as usize % CHUNK)?.as_deref()
    }

    /// One more than the highest symbol.
    pub(crate) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn set(&mut self, symbol: u32, word: Option<Arc<str>>) {
        let number = symbol as usize / CHUNK;
        if number == self.chunks.len() {
            self.chunks.push(Arc::new(Vec::new()));
        }
        if let Some(chunk) = self.chunks.get_mut(number) {
            let chunk = Arc::make_mut(chunk);
            match chunk.get_mut(symbol as usize % CHUNK) {
                Some(slot) => *slot = word,
                None => chunk.push(word),
            }
        }
    }
}

/// Who finds and counts the words of a [`WordList`], which lies with the rows.
#[derive(Debug, Default)]
pub(crate) struct Words {
    counts: Vec<u32>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Words {
    /// The symbol of `word`, counted once more.
    pub(crate) fn take(&mut self, list: &mut WordList, word: Option<&str>) -> u32 {
        let Some(word) = word else { return NONE };
        let hash = self.hasher.hash_one(word);
        if let Some(&symbol) = self.index.find(hash, |&symbol| list.get(symbol) == Some(word)) {
            self.counts[symbol as usize] += 1;
            return symbol;
        }
        let symbol = self.free.pop().unwrap_or_else(|| {
            self.counts.push(0);
            u32::try_from(self.counts.len() - 1).unwrap_or(NONE)
        });
        self.counts[symbol as usize] = 1;
        list.set(symbol, Some(Arc::from(word)));
        let hasher = &self.hasher;
        self.index
            .insert_unique(hash, symbol, |&symbol| hasher.hash_one(list.get(symbol).unwrap_or_default()));
        symbol
    }

    /// One use less of `symbol`; the last one frees the word.
    pub(crate) fn give(&mut self, list: &mut WordList, symbol: u32) {
        let Some(count) = self.counts.get_mut(symbol as usize) else { return };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return;
        }
        let hash = self.hasher.hash_one(list.get(symbol).unwrap_or_default());
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == symbol) {
            entry.remove();
            self.free.push(symbol);
            list.set(symbol, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_lives_as_long_as_it_is_used() {
        let (mut words, mut list) = (Words::default(), WordList::default());
        let a = words.take(&mut list, Some("a"));
        assert_eq!(words.take(&mut list, Some("a")), a);
        let before = list.clone();
        words.give(&mut list, a);
        assert_eq!(list.get(a), Some("a"));
        words.give(&mut list, a);
        assert_eq!(list.get(a), None);
        assert_eq!(before.get(a), Some("a"), "a snapshot keeps what it saw");
        assert_eq!(words.take(&mut list, Some("b")), a, "the symbol is used again");
        assert_eq!(words.take(&mut list, None), NONE);
        assert_eq!(list.get(NONE), None);
    }
}
