//! Tests against real Kubernetes servers.
