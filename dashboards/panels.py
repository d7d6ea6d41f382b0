"""Grafana panels and boards as plain dictionaries. Knows Grafana's JSON, nothing of Spillway's metrics.

A Board places panels from left to right and wraps at 24 columns, so no position is ever written by hand.
"""

COLUMNS = 24
SELECTOR = 'job=~"$job",instance=~"$instance"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def series(name, *matchers):
    """`name` as the board's variables select it, and by `matchers`."""
    return f"{name}{{{','.join((SELECTOR,) + matchers)}}}"


def rate(name, *matchers):
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def summed(expression, *labels):
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"sum{by} ({expression})"


def quantile(share, histogram, *labels):
    buckets = summed(rate(f"{histogram}_bucket"), "le", *labels)
    return f"histogram_quantile({share}, {buckets})"


def ratio(part, whole):
    """Share of `whole`; no value rather than a division by zero where there was no traffic."""
    return f"{part} / ({whole} > 0)"


def or_zero(expression, name):
    """Zero until the series `name` has been seen for the first time."""
    return f"({expression}) or (vector(0) unless on() {series(name)})"


def query(expression, legend="", **options):
    return {"expr": expression, "legendFormat": legend, **options}


def quantiles(histogram, *shares):
    return [query(quantile(share, histogram), f"P{round(share * 100)}") for share in shares]


def panel(kind, title, unit, description, queries, **options):
    """A panel of Grafana's type `kind`; `options` are merged into its field defaults and options."""
    queries = [queries] if isinstance(queries, dict) else queries
    defaults = {"unit": unit, **options.pop("defaults", {})}
    targets = [
        {"refId": chr(ord("A") + i), "datasource": DATASOURCE, **q} for i, q in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": options.pop("overrides", [])},
        "options": options.pop("options", {}),
        **options,
    }


def steps(*pairs):
    """Thresholds: (from, colour) in ascending order; the first `from` is None."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in pairs],
    }


def stat(title, unit, description, expression, thresholds=None, **defaults):
    colours = thresholds or steps((None, "blue"))
    return panel(
        "stat",
        title,
        unit,
        description,
        query(expression, title),
        defaults={
            "thresholds": colours,
            "color": {"mode": "thresholds"},
            "noValue": "no traffic",
            **defaults,
        },
        options={
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"]},
        },
    )


def lines(title, unit, description, queries, stacked=False, **defaults):
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return panel(
        "timeseries",
        title,
        unit,
        description,
        queries,
        defaults={"custom": custom, "min": 0, **defaults},
        options={
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def heatmap(title, unit, description, histogram):
    buckets = summed(rate(f"{histogram}_bucket"), "le")
    return panel(
        "heatmap",
        title,
        unit,
        description,
        query(buckets, "{{le}}", format="heatmap"),
        options={
            "calculate": False,
            "yAxis": {"unit": unit},
            "color": {"mode": "scheme", "scheme": "Oranges"},
            "cellGap": 1,
            "tooltip": {"mode": "single"},
        },
    )


def states(title, description, queries, mappings):
    """A band a series, coloured by value: {value: (text, colour)}."""
    options = {
        str(value): {"text": text, "color": colour, "index": value}
        for value, (text, colour) in mappings.items()
    }
    return panel(
        "state-timeline",
        title,
        "none",
        description,
        queries,
        defaults={
            "mappings": [{"type": "value", "options": options}],
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
        options={
            "mergeValues": True,
            "showValue": "auto",
            "legend": {"displayMode": "list", "placement": "bottom"},
        },
    )


def table(title, unit, description, columns, units):
    """One instant query a column, joined by their labels; `columns` maps headings to expressions."""
    queries = [
        query(expression, heading, instant=True, format="table")
        for heading, expression in columns.items()
    ]
    names = {f"Value #{chr(ord('A') + i)}": heading for i, heading in enumerate(columns)}
    overrides = [
        {
            "matcher": {"id": "byName", "options": heading},
            "properties": [{"id": "unit", "value": its_unit}],
        }
        for heading, its_unit in units.items()
    ]
    return panel(
        "table",
        title,
        unit,
        description,
        queries,
        overrides=overrides,
        options={"showHeader": True},
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ],
    )


def _variable(name, label, definition):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": definition,
        "query": {"query": definition, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


class Board:
    def __init__(self, uid, title, description):
        self.head = {"uid": uid, "title": title, "description": description, "tags": ["spillway"]}
        self.panels = []
        self.x = self.y = self.height = 0

    def row(self, title):
        self._wrap()
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, COLUMNS, 1)
        self._wrap()

    def add(self, width, height, *panels):
        for one in panels:
            if self.x + width > COLUMNS:
                self._wrap()
            self._place(one, width, height)

    def _place(self, one, width, height):
        self.panels.append(
            {
                "id": len(self.panels) + 1,
                **one,
                "gridPos": {"x": self.x, "y": self.y, "w": width, "h": height},
            }
        )
        self.x += width
        self.height = max(self.height, height)

    def _wrap(self):
        self.y += self.height
        self.x = self.height = 0

    def json(self, version_series):
        """The dashboard; `version_series` is the info series whose labels offer jobs and instances."""
        variables = [
            {
                "name": "datasource",
                "label": "Prometheus",
                "type": "datasource",
                "query": "prometheus",
                "refresh": 1,
                "current": {},
            },
            _variable("job", "Job", f"label_values({version_series}, job)"),
            _variable(
                "instance", "Instance", f'label_values({version_series}{{job=~"$job"}}, instance)'
            ),
        ]
        reload_seen = (
            f"changes({series('spillway_config_last_success_timestamp_seconds')}[$__rate_interval]) > 0"
        )
        return {
            **self.head,
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "10s",
            "timezone": "browser",
            "templating": {"list": variables},
            "annotations": {
                "list": [
                    {
                        "name": "configuration taken over",
                        "datasource": DATASOURCE,
                        "enable": True,
                        "expr": reload_seen,
                        "iconColor": "purple",
                        "titleFormat": "new configuration",
                    }
                ]
            },
            "links": [
                {
                    "title": "Spillway dashboards",
                    "type": "dashboards",
                    "tags": ["spillway"],
                    "asDropdown": True,
                    "includeVars": True,
                    "keepTime": True,
                }
            ],
            "panels": self.panels,
        }
