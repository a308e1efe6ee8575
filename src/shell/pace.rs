//! How fast the loop goes round. Here and not in the loop so that the bench that stands in for it keeps its pace.

use std::time::Duration;

/// Least time between two frames of which no key is waiting for the second.
pub const BETWEEN_FRAMES: Duration = Duration::from_millis(16);
/// Least time between two frames when a key waits for the second: what a key did is seen at once, and a key that is
/// held down or a burst of them still shares frames.
pub const BETWEEN_KEYS: Duration = Duration::from_millis(2);
/// News that may wait for the loop. A feed reserves its place before it reads, so a full channel makes feeds read
/// later and more at once, and never makes memory grow.
pub const INBOX: usize = 64;
/// News taken in before the loop looks at the keyboard again.
pub const BATCH: usize = 16;
/// Time after which it looks at the keyboard even if that many have not been taken in.
pub const SLICE: Duration = Duration::from_millis(3);
