//! The cases on moto 5.2.5.
//!
//! Not run here, because moto cannot do it:
//! - `compute::a_waiting_job_is_stopped`: without Docker a job has SUCCEEDED when it is submitted, and one that is held
//!   back waits on after TerminateJob.
//! - `objects::a_line_break_in_a_key`: its router answers 404 to such a key.
//! - `queue::many_messages_and_receivers`: it looks and hides in two steps without a lock, so that of several receivers at
//!   once two may be given one message. (So may SQS, rarely; the scheduler's own tests deliver twice on purpose.)
//! - `queue::a_late_release_is_harmless`: it takes every receipt that a message ever had.

use std::sync::LazyLock;

use crate::Subject;
use crate::emulator::Emulator;
use crate::{managed, older};

static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| {
    let emulator = Emulator::start("moto_server", &["-H", "127.0.0.1", "-p", "{port}"], |_| Vec::new());
    // Jobs are written down and not run.
    emulator.post("/moto-api/config", r#"{"batch":{"use_docker":false}}"#);
    emulator
});

async fn fresh() -> Subject {
    EMULATOR.fresh().await
}

crate::cases! {
    objects: ranges_and_suffixes versions a_bucket_without_versions uploads_and_downloads prefixes_and_order pages hostile_keys
        a_bucket_that_is_not_there a_key_is_written_once many_parts;
    writers: nothing_shows_before_it_is_complete a_key_that_is_taken_is_replaced_at_once one_that_is_given_up_leaves_nothing
        no_step_can_be_taken_out_of_order two_at_once_do_not_mix what_cannot_be_begun;
    table: a_row_is_written_once a_change_is_made_refused_or_missing changes_page_by_page
        changes_under_concurrent_writers a_scan_gives_whole_rows odd_variables a_row_that_is_too_large
        a_table_without_a_stream_is_polled;
    compute: a_job_is_found_and_described names_are_apart arrays_are_one_job_or_refused jobs_are_listed_by_where_they_stand;
    secrets: they_are_replaced_as_one odd_names_and_contents;
}

crate::at_once! {
    queue: a_message_is_delivered_until_it_is_deleted a_late_delete_is_no_error a_release_delays
        dead_letters_and_back dead_letters_step_by_step a_delayed_message_waits;
}

/// A table with a stream.
#[cfg(feature = "account")]
mod streamed {
    async fn fresh() -> crate::Subject {
        super::EMULATOR.fresh_streamed().await
    }

    crate::cases! {
        table: changes_page_by_page changes_under_concurrent_writers the_stream_is_followed;
    }
}

/// Logs, written as a log driver does.
#[cfg(feature = "account")]
mod driven {
    async fn fresh() -> crate::Subject {
        super::EMULATOR.fresh_logs().await
    }

    crate::cases! {
        logs: a_stream_that_is_not_there pages_and_tokens tail_and_since a_quiet_log_is_looked_at_for_long
            streams_are_apart;
    }
}

#[tokio::test]
async fn rows_of_the_old_programs() {
    older::rows(&EMULATOR).await;
}

#[tokio::test]
async fn registries_of_ecr() {
    crate::images::of_ecr(&EMULATOR).await;
}

#[tokio::test]
async fn secrets_of_others() {
    managed::of_others(&EMULATOR).await;
}

#[tokio::test]
async fn secrets_that_are_refused() {
    managed::refusals(&EMULATOR).await;
}

#[tokio::test]
async fn the_version_null() {
    older::the_version_null(&EMULATOR).await;
}

#[cfg(feature = "account")]
#[tokio::test]
async fn stacks_from_nothing_to_nothing() {
    crate::stacks::from_nothing_to_nothing(&EMULATOR, false).await;
}
