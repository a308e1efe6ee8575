//! Uploads that nobody has heard of: objects without a row.
//!
//! The id of a job comes from its object's version, which a list does not give; so every object in the window costs a
//! look at it and one at the table. An object without a version id cannot be looked for at all: its job was named after
//! the notification's sequencer, which the store tells once and never again. Nor can a version that another has
//! replaced. A message that waits in the dead-letter queue has no row either; it is announced anew in every run until
//! it is older than the window, and each time it is dealt with as if it were delivered for the first time.

use futures_util::{StreamExt, stream};
use shepard_cloud::ports::ObjectMeta;
use shepard_cloud::{Kind, Result};
use shepard_model::JobId;
use shepard_model::names::OWN_PREFIX;

use super::{Run, Window};
use crate::event;

/// Objects looked at side by side.
const ABREAST: usize = 16;
/// Troubles after which a run gives up: then it is the service, and not this upload or that.
const TROUBLES: usize = 100;

/// What an object turned out to be.
enum Found {
    /// It has a row, is no upload, or is gone.
    Known,
    /// It has no version id that tells it from others; or has none because the bucket gives none.
    Unversioned { bucket: bool },
    /// It has no row; the id of its job and the message that announces it.
    Lost(JobId, String),
}

/// Announces what has no row; gives where it stopped for want of time, or because it had announced enough.
pub(super) async fn announce(
    run: &mut Run<'_>,
    window: Window,
    mut from: Option<String>,
) -> Result<Option<String>> {
    let mut left = window.at_most;
    loop {
        if run.is_over() || left == 0 {
            // A run that stops at the beginning has no place to name, and does not need to.
            return Ok(from);
        }
        let inputs = &run.ports.buckets.inputs;
        let page = run.ports.objects.list(inputs, "", from.as_deref()).await?;
        let now_ms = run.now_ms();
        let wanted = |meta: &ObjectMeta| {
            let age_ms = now_ms - meta.modified_ms;
            (window.older_than_ms..window.younger_than_ms).contains(&age_ms)
                && !meta.object.key.starts_with(OWN_PREFIX)
                && !(meta.object.key.ends_with('/') && meta.size == 0)
        };
        let work: Vec<_> =
            page.items.iter().filter(|meta| wanted(meta)).map(|meta| look(run, meta)).collect();
        let found: Vec<_> = stream::iter(work).buffered(ABREAST).collect().await;
        let (mut lost, mut unversioned) = (Vec::new(), false);
        for one in found {
            match one {
                Ok(Found::Known) => {}
                Ok(Found::Unversioned { bucket }) => {
                    run.done.unversioned += 1;
                    unversioned |= bucket;
                }
                Ok(Found::Lost(id, body)) => lost.push((id, body)),
                // What cannot be read today must not keep the uploads behind it from being found, every time anew.
                Err(error) => run.done.troubles.push(error),
            }
        }
        let more = lost.len() > left;
        lost.truncate(left);
        if !lost.is_empty() {
            left -= lost.len();
            let (ids, bodies): (Vec<_>, Vec<_>) = lost.into_iter().unzip();
            run.ports.queue.send(&bodies, 0).await?;
            run.done.announced.extend(ids);
        }
        if run.done.troubles.len() >= TROUBLES {
            return Ok(None);
        }
        match page.next {
            // The rest of this page is for the next run.
            _ if more => return Ok(from),
            _ if unversioned => return Ok(None),
            Some(next) => from = Some(next),
            None => return Ok(None),
        }
    }
}

async fn look(run: &Run<'_>, listed: &ObjectMeta) -> Result<Found> {
    let meta = match run.ports.objects.head(&listed.object).await {
        Ok(meta) => meta,
        // Removed since it was listed.
        Err(error) if error.kind == Kind::NotFound => return Ok(Found::Known),
        Err(error) => return Err(error),
    };
    match meta.object.version.as_deref() {
        None => return Ok(Found::Unversioned { bucket: true }),
        // Of a time when the bucket gave none.
        Some("null") => return Ok(Found::Unversioned { bucket: false }),
        Some(_) => {}
    }
    // Through the message itself, so that the id is the scheduler's.
    let body = event::notification(&meta);
    let Some(id) = event::parse(&body).ok().and_then(|event| Some(event.arrivals.into_iter().next()?.id))
    else {
        return Ok(Found::Known);
    };
    Ok(match run.ports.table.get(&id).await? {
        Some(_) => Found::Known,
        None => Found::Lost(id, body),
    })
}
