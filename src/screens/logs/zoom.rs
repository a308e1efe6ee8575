//! One line alone: whole, wrapped, its JSON spread out.

use super::buffer::{Buffer, Line};
use super::layout::{Laid, Shape};

/// The line looked at, and how far down. It is a copy, so that it stays when the ring drops it.
#[derive(Debug)]
pub(super) struct Zoom {
    /// Its number.
    pub(super) number: u64,
    /// The line.
    pub(super) line: Line,
    /// First row shown.
    pub(super) top: usize,
}

impl Zoom {
    /// Of a line.
    pub(super) fn new(buffer: &Buffer, number: u64) -> Option<Self> {
        Some(Self { number, line: buffer.get(number)?.clone(), top: 0 })
    }

    /// How it is laid out in an area: a line above it says what it is.
    pub(super) fn shape(width: usize, height: usize) -> Shape {
        Shape {
            width: width.saturating_sub(1).max(1),
            height: height.saturating_sub(1).max(1),
            wrap: true,
            pretty: true,
        }
    }

    /// The line, laid out.
    pub(super) fn laid(&self, shape: Shape) -> Laid<'_> {
        Laid::new(&self.line, shape)
    }

    /// Up or down by rows, no further than the text goes.
    pub(super) fn scroll(&mut self, shape: Shape, by: isize) {
        let rows = self.laid(shape).rows.len();
        self.top = self.top.saturating_add_signed(by).min(rows.saturating_sub(shape.height));
    }
}
