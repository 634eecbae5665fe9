//! File descriptors: every connection needs one, and the usual limit of 1,024 is for programs of another age.

/// Lets this process, and what it starts, have as many as the system allows without asking an administrator.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files; see `ulimit -n`");
        }
    }
}
