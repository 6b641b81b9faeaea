//! What a user should hear while all goes well.
use std::fmt;
use std::sync::Arc;

use crate::client::Client;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::types::Descriptor;

/// Something a registry said that its users should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// So few pulls are left before the registry refuses more.
    RateLimit {
        /// The registry.
        host: String,
        /// Pulls that are left.
        remaining: u64,
        /// Whether it knows who asks.
        had_credentials: bool,
    },
    /// The config of an image names another platform than the index that it was chosen from, which is believed.
    OtherPlatform {
        /// The image.
        image: String,
        /// What the index says.
        index: Box<Platform>,
        /// What the config says.
        config: Box<Platform>,
    },
    /// A request is sent again after a wait that is worth mentioning.
    Waiting {
        /// What is attempted, on what.
        action: String,
        /// How long, in seconds.
        seconds: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimit { host, remaining, had_credentials } => {
                write!(f, "`{host}` allows only {remaining} more pulls for now; ")?;
                if *had_credentials {
                    f.write_str("set a mirror for it")
                } else {
                    write!(f, "log in with `garboard login {host}`, or set a mirror for it")
                }
            }
            Self::OtherPlatform { image, index, config } => write!(
                f,
                "`{image}` is for `{index}` as its index has it, but its config says `{config}`; the index is believed"
            ),
            Self::Waiting { action, seconds } => write!(f, "{action}: the registry asks to wait {seconds} s"),
        }
    }
}

impl Client {
    /// Tells where the config of an image names another platform than its entry in the index that it was chosen from: some
    /// images are built like that, and the index is right more often.
    pub fn compare_platforms(&self, reference: &Reference, entry: &Descriptor, config: &[u8]) {
        let own = serde_json::from_slice::<Platform>(config).ok();
        let (Some(index), Some(own)) = (&entry.platform, own) else { return };
        if index.contradicts(&own) {
            let (index, config) = (Box::new(index.normalized()), Box::new(own.normalized()));
            let image = reference.to_string();
            self.inner.config.notices.tell(Notice::OtherPlatform { image, index, config });
        }
    }
}

/// Who is told.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(Notice) + Send + Sync>);

impl Notices {
    /// Tells a function, which may be called from any thread and must not wait for anything.
    pub fn new(tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, notice: Notice) {
        (self.0)(notice);
    }
}

impl Default for Notices {
    /// Nobody.
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
