//! Every case on a flock on this machine, with a clock set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use shepard_cloud::Clock;
use shepard_cloud::local::{Home, LocalFlock, Settings};

use crate::Subject;

struct HandClock(AtomicI64);

#[async_trait]
impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn sleep_ms(&self, duration_ms: u64) {
        self.0.fetch_add(i64::try_from(duration_ms).expect("short"), Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

async fn fresh() -> Subject {
    let temp = tempfile::tempdir().expect("temp");
    let scratch = temp.path().join("scratch");
    std::fs::create_dir(&scratch).expect("scratch");
    let dir = Home::new(temp.path().join("data")).create(&Settings::named("f")).expect("create");
    let clock = Arc::new(HandClock(AtomicI64::new(1_700_000_000_000)));
    let flock = LocalFlock::open_with(&dir, clock).expect("open");
    Subject { ports: flock.ports(), scratch, _keep: Box::new(temp) }
}

crate::cases! {
    objects: ranges_and_suffixes versions a_bucket_without_versions uploads_and_downloads prefixes_and_order pages hostile_keys
        a_bucket_that_is_not_there a_key_is_written_once many_parts a_line_break_in_a_key;
    writers: nothing_shows_before_it_is_complete a_key_that_is_taken_is_replaced_at_once one_that_is_given_up_leaves_nothing
        no_step_can_be_taken_out_of_order two_at_once_do_not_mix what_cannot_be_begun;
    table: a_row_is_written_once a_change_is_made_refused_or_missing changes_page_by_page
        changes_under_concurrent_writers a_scan_gives_whole_rows odd_variables a_row_that_is_too_large;
    queue: a_message_is_delivered_until_it_is_deleted a_late_release_is_harmless a_late_delete_is_no_error a_release_delays
        dead_letters_and_back dead_letters_step_by_step many_messages_and_receivers a_delayed_message_waits;
    compute: a_job_is_found_and_described a_waiting_job_is_stopped names_are_apart
        arrays_are_one_job_or_refused jobs_are_listed_by_where_they_stand a_waiting_job_is_cancelled;
    logs: a_stream_that_is_not_there what_can_name_no_stream pages_and_tokens tail_and_since
        a_quiet_log_is_looked_at_for_long odd_lines streams_are_apart;
    secrets: they_are_replaced_as_one odd_names_and_contents;
}
