//! A row of bars, one column each: how something went lately.

use super::Glyphs;

/// The last `columns` of `values` as bars, the largest of them full. What is not zero always shows.
pub fn sparkline(values: &[u32], columns: usize, glyphs: &Glyphs) -> String {
    let values = &values[values.len().saturating_sub(columns)..];
    let most = u64::from(values.iter().copied().max().unwrap_or(0));
    let steps = glyphs.bars.len() as u64 - 1;
    let bar = |&value: &u32| {
        let step = (u64::from(value) * steps).checked_div(most).unwrap_or(0);
        glyphs.bars[step.max(u64::from(value > 0)) as usize]
    };
    let missing = columns.saturating_sub(values.len());
    std::iter::repeat_n(" ", missing).chain(values.iter().map(bar)).collect()
}

/// The sums of neighbouring values, so that a long history fits into `columns`.
pub fn squeeze(values: &[u32], columns: usize) -> Vec<u32> {
    let size = values.len().div_ceil(columns.max(1)).max(1);
    let first = values.len() % size;
    let sum = |part: &[u32]| part.iter().fold(0_u32, |sum, value| sum.saturating_add(*value));
    let (head, rest) = values.split_at(first);
    let head = (!head.is_empty()).then(|| sum(head));
    head.into_iter().chain(rest.chunks(size).map(sum)).collect()
}

/// A bar of `columns`, filled by `part` of `whole`. Full only when all is done, empty only when nothing is.
pub fn progress(part: u64, whole: u64, columns: usize, glyphs: &Glyphs) -> String {
    let part = part.min(whole);
    let exact = u128::from(part) * columns as u128 / u128::from(whole.max(1));
    let mut full = usize::try_from(exact).unwrap_or(columns);
    if part > 0 && columns > 1 {
        full = full.max(1);
    }
    format!("{}{}", glyphs.bar_full.repeat(full), glyphs.bar_empty.repeat(columns - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_shows_and_nothing_does_not() {
        assert_eq!(sparkline(&[0, 1, 500, 1000], 6, &Glyphs::UNICODE), "   ▁▄█");
        assert_eq!(sparkline(&[0, 1, 500, 1000], 3, &Glyphs::ASCII), ".:#");
        assert_eq!(sparkline(&[0, 0], 2, &Glyphs::UNICODE), "  ");
        assert_eq!(sparkline(&[u32::MAX], 1, &Glyphs::UNICODE), "█");
        assert_eq!(sparkline(&[], 0, &Glyphs::UNICODE), "");
    }

    #[test]
    fn squeezing_keeps_the_sum_and_the_newest_whole() {
        assert_eq!(squeeze(&[1, 2, 3, 4, 5], 3), [1, 5, 9]);
        assert_eq!(squeeze(&[1, 2], 9), [1, 2]);
        assert_eq!(squeeze(&[1, 2], 0), [3]);
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        let bar = |part, whole| progress(part, whole, 4, &Glyphs::ASCII);
        assert_eq!(
            [bar(0, 9), bar(1, 1000), bar(999, 1000), bar(9, 9), bar(0, 0)],
            ["....", "#...", "###.", "####", "...."]
        );
        assert_eq!(progress(u64::MAX, u64::MAX, 2, &Glyphs::ASCII), "##");
    }
}
