//! A tree of one target as the source of another: what planning and solving have to know of each other's builds.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use garboard_registry::Platform;

use crate::error::Result;
use crate::solve::Name;
use crate::source::BaseImage;
use crate::tree::Tree;

/// A tree that another build makes.
pub(crate) trait Linked: Send + Sync {
    /// The tree; made when first asked for, by whoever asks.
    fn result(&self) -> BoxFuture<'static, Result<Tree>>;

    /// What names the tree before it is made.
    fn definition(&self) -> BoxFuture<'static, Result<Name>>;

    /// Whether it, or anything that it needs, must not come from the cache.
    fn must_run(&self) -> bool;
}

/// A shared [`Linked`].
#[derive(Clone)]
pub(crate) struct Link(pub(crate) Arc<dyn Linked>);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

/// Where planning finds the targets that its request names as contexts.
pub(crate) trait Links: Sync {
    /// The image that a target makes for a platform.
    fn image<'a>(&'a self, target: &'a str, platform: &'a Platform) -> BoxFuture<'a, Result<BaseImage>>;
}

/// For a build on its own.
pub(crate) struct NoLinks;

impl Links for NoLinks {
    fn image<'a>(&'a self, target: &'a str, _: &'a Platform) -> BoxFuture<'a, Result<BaseImage>> {
        let text = format!("there is no target `{target}` in this build");
        Box::pin(async move { Err(crate::error::Error::Request(text).into()) })
    }
}
