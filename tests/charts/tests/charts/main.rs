//! The chart, what is generated from it, its alerts and health checks: rendered by the real Helm, loaded by a real Prometheus, run by a real
//! Lua, and accepted by a real API server.

mod alerts;
mod api_server;
mod arguments;
mod dashboards;
mod generated;
mod health;
mod kstatus;
mod modes;
mod network;
mod openshift;
mod overlay;
mod pods;
mod prometheus;
mod rbac;
mod rendered;
mod samples;
mod schema;
mod scraped;
