//! X.
use crate::app::stack::*;
pub(super) async fn read(_request: StackRequest) -> StackAnswer {
    std::future::pending().await
}
