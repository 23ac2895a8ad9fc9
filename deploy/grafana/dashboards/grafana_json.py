"""Grafana's JSON of a dashboard, through Grafana's own types.

Needs the package of ../requirements.txt; nothing else here does.
"""

import json

from grafana_foundation_sdk.builders import (
    common, dashboard as builders, heatmap, prometheus, stat, table,
    timeseries)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import (
    common as common_models, dashboard as models, prometheus as queries)

from .description import Kind

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "longspan"
PANELS = {Kind.LINES: timeseries.Panel, Kind.STACK: timeseries.Panel,
          Kind.STAT: stat.Panel, Kind.HEATMAP: heatmap.Panel,
          Kind.TABLE: table.Panel}


def variable_of(variable):
    return (builders.QueryVariable(variable.name)
            .label(variable.title)
            .datasource(SOURCE)
            .query(f"label_values({variable.series}, {variable.label})")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
            .multi(True).include_all(True).all_value(".*")
            .current(models.VariableOption(
                selected=True, text=["All"], value=["$__all"])))


def target_of(panel, number):
    query = panel.queries[number]
    target = (prometheus.Dataquery().expr(query.expression)
              .ref_id(chr(ord("A") + number)).datasource(SOURCE))
    if query.legend:
        target.legend_format(query.legend)
    if panel.kind in (Kind.STAT, Kind.TABLE):
        target.instant()
    else:
        target.range()
    if panel.kind is Kind.TABLE:
        target.format(queries.PromQueryFormat.TABLE)
    if panel.kind is Kind.HEATMAP:
        target.format(queries.PromQueryFormat.HEATMAP)
    return target


def thresholds_of(panel):
    steps = [models.Threshold(None if i == 0 else step.value, step.color)
             for i, step in enumerate(panel.thresholds)]
    return (builders.ThresholdsConfig()
            .mode(models.ThresholdsMode.ABSOLUTE).steps(steps))


def shape_lines(built, panel):
    built.line_width(1).fill_opacity(60 if panel.kind is Kind.STACK else 5)
    built.show_points(common_models.VisibilityMode.AUTO)
    built.legend(common.VizLegendOptions()
                 .display_mode(common_models.LegendDisplayMode.LIST)
                 .placement(common_models.LegendPlacement.BOTTOM)
                 .show_legend(True))
    built.tooltip(common.VizTooltipOptions()
                  .mode(common_models.TooltipDisplayMode.MULTI)
                  .sort(common_models.SortOrder.DESCENDING))
    if panel.kind is Kind.STACK:
        built.stacking(common.StackingConfig()
                       .mode(common_models.StackingMode.NORMAL))


def shape_heatmap(built, panel):
    built.calculate(False)
    built.y_axis(heatmap.YAxisConfig().unit(panel.unit))


def set_field(built, panel):
    built.unit(panel.unit)
    if panel.minimum is not None:
        built.min(panel.minimum)
    if panel.maximum is not None:
        built.max(panel.maximum)
    if panel.decimals is not None:
        built.decimals(panel.decimals)
    if panel.thresholds:
        built.thresholds(thresholds_of(panel))


def panel_of(panel, number):
    built = (PANELS[panel.kind]().id(number).title(panel.title)
             .description(panel.question).datasource(SOURCE)
             .span(panel.width).height(panel.height))
    for i in range(len(panel.queries)):
        built.with_target(target_of(panel, i))
    if panel.kind is Kind.HEATMAP:
        shape_heatmap(built, panel)
    else:
        set_field(built, panel)
    if panel.kind in (Kind.LINES, Kind.STACK):
        shape_lines(built, panel)
    if panel.link:
        built.links([builders.DashboardLink("More")
                     .type(models.DashboardLinkType.LINK)
                     .url(f"/d/{panel.link}?${{__url_time_range}}")])
    return built


def navigation():
    """The way to the other dashboards."""
    return (builders.DashboardLink("Longspan")
            .type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
            .as_dropdown(False).keep_time(True).include_vars(True))


def dashboard_of(dashboard):
    built = (builders.Dashboard(dashboard.title).uid(dashboard.uid)
             .description(dashboard.description).tags([TAG])
             .timezone("browser").time("now-1h", "now").refresh("30s")
             .readonly().tooltip(models.DashboardCursorSync.CROSSHAIR)
             .link(navigation())
             .with_variable(builders.DatasourceVariable("datasource")
                            .label("Data source").type("prometheus")))
    for variable in dashboard.variables:
        built.with_variable(variable_of(variable))
    number = 0
    for row in dashboard.rows:
        number += 1
        built.with_row(builders.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            built.with_panel(panel_of(panel, number))
    return built.build()


def encode(model):
    return json.dumps(model, cls=JSONEncoder, indent=1) + "\n"


def write(dashboard):
    """The text of the dashboard's file.

    What is written is read again with Grafana's types: a field that they do
    not know, or another type, is lost or refused there.
    """
    text = encode(dashboard_of(dashboard))
    again = encode(models.Dashboard.from_json(json.loads(text)))
    if again != text:
        raise ValueError(f"{dashboard.uid}: not what Grafana's schema reads")
    return text
