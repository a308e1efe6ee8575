//! What every adapter of the ports must do, whatever is behind it.
//!
//! A case is a function over a [`Subject`] and knows the ports alone: no file, no database, no service. It sleeps by
//! the subject's clock, so that an adapter with a clock set by hand costs no time and a service gets what it needs.
//! `local` runs every case on a flock on this machine, `ministack` and `moto` run them on AWS as others emulate it;
//! another adapter is one more such file. A case that an emulator cannot do is named there, with the reason.

#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![cfg(all(feature = "local", unix))]

use std::any::Any;
use std::path::PathBuf;

use shepard_cloud::Ports;
use shepard_model::ObjectRef;

mod compute;
#[cfg(feature = "aws")]
mod emulator;
mod full_disk;
#[cfg(feature = "aws")]
mod images;
mod local;
mod logs;
#[cfg(feature = "aws")]
mod managed;
#[cfg(feature = "aws")]
mod ministack;
#[cfg(feature = "aws")]
mod moto;
mod objects;
#[cfg(feature = "aws")]
mod older;
mod queue;
mod secrets;
#[cfg(feature = "account")]
mod stacks;
mod table;
mod writers;

/// One test a case, named as the case is, on what `fresh` of the place it is used in makes.
macro_rules! cases {
    ($($module:ident: $($case:ident)*;)*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(super::fresh).await;
            })*
        })*
    };
}
pub(crate) use cases;

/// The same for cases that sleep most of their time: one test runs all of a module side by side, a thread each, named
/// as the case is.
#[cfg(feature = "aws")]
macro_rules! at_once {
    ($($module:ident: $($case:ident)*;)*) => {
        $(mod $module {
            #[test]
            fn at_once() {
                let running = [$({
                    let run = || crate::run(crate::$module::$case(super::fresh));
                    let name = concat!(module_path!(), "::", stringify!($case));
                    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
                    (name, thread.expect("a thread"))
                }),*];
                let failed = running.into_iter().filter_map(|(name, run)| run.join().err().map(|_| name));
                let failed: Vec<_> = failed.collect();
                assert!(failed.is_empty(), "{failed:?}");
            }
        })*
    };
}
#[cfg(feature = "aws")]
pub(crate) use at_once;

#[cfg(feature = "aws")]
fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(case);
}

/// One fresh, empty flock.
pub(crate) struct Subject {
    ports: Ports,
    /// A folder of the case's own, for files to upload and download.
    scratch: PathBuf,
    /// What has to live as long as the flock does.
    _keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// A file to upload.
    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.scratch.join("source");
        std::fs::write(&path, content).expect("scratch");
        path
    }

    fn input(&self, key: &str) -> ObjectRef {
        ObjectRef::new(&self.ports.buckets.inputs, key)
    }

    /// Waits, in the subject's own time, until something holds: services answer when they like.
    async fn eventually(&self, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..60 {
            if holds().await {
                return;
            }
            self.ports.clock.sleep_ms(500).await;
        }
        panic!("{what} never came true");
    }
}
