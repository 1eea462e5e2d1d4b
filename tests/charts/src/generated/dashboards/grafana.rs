//! Grafana's JSON model, as far as the dashboards need it.

use serde_json::{Value, json};

/// Grafana's version of the JSON model.
const SCHEMA_VERSION: u32 = 39;
/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// A dashboard.
pub(super) struct Dashboard {
    /// File name and UID, which links refer to.
    pub(super) name: &'static str,
    /// Title.
    pub(super) title: &'static str,
    /// What can be chosen at its top.
    pub(super) variables: Vec<Variable>,
    /// Its rows.
    pub(super) rows: Vec<Row>,
}

/// Something that can be chosen at the top.
pub(super) struct Variable {
    /// Its name in queries.
    pub(super) name: &'static str,
    /// Its name for people.
    pub(super) label: &'static str,
    /// The query for what there is to choose from.
    pub(super) query: String,
}

/// Panels of one height beside each other, below a title.
pub(super) struct Row {
    /// Title.
    pub(super) title: &'static str,
    /// Height in Grafana's units.
    pub(super) height: u32,
    /// From left to right; they share the width.
    pub(super) panels: Vec<Panel>,
}

/// One panel.
pub(super) struct Panel {
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    kind: Kind,
    queries: Vec<(String, &'static str)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Stat,
    TimeSeries { logarithmic: bool },
}

impl Panel {
    /// The newest value, in large digits.
    pub(super) fn stat(title: &'static str, unit: &'static str, description: &'static str, query: String) -> Self {
        Self { title, description, unit, kind: Kind::Stat, queries: vec![(query, "")] }
    }

    /// Curves, each query with its legend.
    pub(super) fn curves(title: &'static str, unit: &'static str, description: &'static str, queries: Vec<(String, &'static str)>) -> Self {
        Self { title, description, unit, kind: Kind::TimeSeries { logarithmic: false }, queries }
    }

    /// The same on a logarithmic scale.
    pub(super) fn logarithmic(self) -> Self {
        Self { kind: Kind::TimeSeries { logarithmic: true }, ..self }
    }

    fn to_json(&self, id: u32, (x, y): (u32, u32), (width, height): (u32, u32)) -> Value {
        let datasource = json!({ "type": "prometheus", "uid": "${datasource}" });
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..='Z')
            .map(|((query, legend), name)| {
                json!({ "refId": name, "datasource": datasource, "expr": query, "legendFormat": legend, "instant": matches!(self.kind, Kind::Stat) })
            })
            .collect();
        let (kind, custom, options) = match self.kind {
            Kind::Stat => {
                let options = json!({ "colorMode": "value", "graphMode": "none", "reduceOptions": { "calcs": ["lastNotNull"] } });
                ("stat", json!({}), options)
            }
            Kind::TimeSeries { logarithmic } => {
                let scale = if logarithmic { json!({ "type": "log", "log": 10 }) } else { json!({ "type": "linear" }) };
                let legend = json!({ "displayMode": "list", "placement": "bottom", "showLegend": true });
                let custom = json!({ "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "scaleDistribution": scale });
                ("timeseries", custom, json!({ "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" } }))
            }
        };
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": datasource,
            "gridPos": { "x": x, "y": y, "w": width, "h": height },
            "fieldConfig": { "defaults": { "unit": self.unit, "custom": custom }, "overrides": [] },
            "options": options,
            "targets": targets,
        })
    }
}

impl Dashboard {
    /// Every query of its panels.
    pub(super) fn queries(&self) -> Vec<String> {
        self.rows.iter().flat_map(|row| &row.panels).flat_map(|panel| &panel.queries).map(|(query, _)| query.clone()).collect()
    }

    /// As Grafana reads it.
    pub(super) fn to_json(&self) -> Value {
        let (mut panels, mut id, mut y) = (Vec::new(), 0, 0);
        for row in &self.rows {
            id += 1;
            let place = json!({ "x": 0, "y": y, "w": COLUMNS, "h": 1 });
            panels.push(json!({ "id": id, "type": "row", "title": row.title, "collapsed": false, "gridPos": place, "panels": [] }));
            y += 1;
            let width = COLUMNS / u32::try_from(row.panels.len()).unwrap_or(COLUMNS).max(1);
            let mut x = 0;
            for panel in &row.panels {
                id += 1;
                panels.push(panel.to_json(id, (x, y), (width, row.height)));
                x += width;
            }
            y += row.height;
        }
        let mut variables = vec![json!({ "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" })];
        variables.extend(self.variables.iter().map(|variable| {
            json!({
                "name": variable.name,
                "label": variable.label,
                "type": "query",
                "datasource": { "type": "prometheus", "uid": "${datasource}" },
                "query": { "query": variable.query, "refId": variable.name },
                "refresh": 2,
                "sort": 1,
                "multi": true,
                "includeAll": true,
                "allValue": ".*",
                "current": { "text": "All", "value": "$__all" },
            })
        }));
        json!({
            "uid": self.name,
            "title": self.title,
            "tags": ["temper"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": { "from": "now-3h", "to": "now" },
            "templating": { "list": variables },
            "panels": panels,
        })
    }
}
