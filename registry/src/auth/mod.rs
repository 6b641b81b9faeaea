//! stub
use crate::credentials::Credentials;
use std::sync::Arc;
pub(crate) struct Auth;
impl Auth {
    pub(crate) fn new(_credentials: Arc<dyn Credentials>) -> Self {
        Self
    }
}
