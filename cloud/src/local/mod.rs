//! A flock on this machine: SQLite and plain folders. (Being written.)
