"""Where MLflow's UI shows a run, and a sweep's cells over one another."""

import json
import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from runner.base.uri import without_credentials
from runner.record.column import FIGURES
from runner.record.run import RecordedRun
from runner.tracking.batch import JOURNAL_TAG, PARENT_TAG
from runner.tracking.client import connect

SHARED_VIEW = "mlflow.sharedViewState."
"""Begins the tag of an experiment in which MLflow's UI keeps a view under a key."""

MANY = 12
"""From so many curves on, the charts are chosen by what is left out."""

KIND = {"workflowType": "machine_learning"}
"""Without it the UI takes every experiment for one of generative AI."""


def of(uri: str, run: RecordedRun) -> str | None:
    """The page of the run at the server's address; None if it has no such run.

    A sweep's has its cells, the best first, in the chart view, and of charts those with curves.
    Raises whatever MLflow raises where nobody answers.
    """
    client = connect(uri)
    found = place(client, run)
    if found is None:
        return None
    experiment, run_id = found
    base = f"{without_credentials(uri).rstrip('/')}/#/experiments/{experiment}"
    if not run.is_sweep:
        return f"{base}/runs/{run_id}/model-metrics?{urlencode(KIND)}"
    facets: dict[str, Any] = {
        "searchFilter": f"tags.`{PARENT_TAG}` = '{run_id}'",
        "orderByKey": "metrics.`final_loss`",
        "orderByAsc": True,
    }
    view = {**facets, "orderByAsc": "true"}
    with suppress(MlflowException):  # from somebody who may read only: they see all charts
        cells = client.search_runs([experiment], facets["searchFilter"], max_results=1)
        charts = _charts(cells[0].data.metrics if cells else ())
        state = json.dumps({**facets, "chartsSearchFilter": charts})
        client.set_experiment_tag(experiment, f"{SHARED_VIEW}{run_id}", state)
        view = {"viewStateShareKey": run_id}
    asked = urlencode({**KIND, "compareRunsMode": "CHART", **view}, quote_via=quote)
    return f"{base}/runs?{asked}"


def place(client: MlflowClient, run: RecordedRun) -> tuple[str, str] | None:
    """The run's experiment and id in the store, if it is there."""
    try:
        info = client.get_run(run.id).info
        return str(info.experiment_id), str(info.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiments = [str(one.experiment_id) for one in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.{JOURNAL_TAG} = '{run.id}'", max_results=1)
    return (str(found[0].info.experiment_id), str(found[0].info.run_id)) if found else None


def _charts(metrics: Any) -> str:
    """What finds the charts of curves: those of figures are bars that say nothing."""
    curves = sorted((key for key in metrics if key not in FIGURES), key=lambda key: key != "loss")
    if 0 < len(curves) <= MANY:
        return f"^({'|'.join(map(re.escape, curves))})$"
    return f"^(?!({'|'.join(FIGURES)})$)"
