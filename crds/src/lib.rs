//! Types of Temper's custom resources, with the CRD YAML generated from them.
