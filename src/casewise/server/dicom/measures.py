"""The network's part of ``/metrics``: arrivals and the outbox, asked of the store when the metrics are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from casewise.server.dicom.network import Network


class NetworkMeasures:
    """A collector. No label names a system, a sender or an image."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        arrived = GaugeMetricFamily("casewise_dicom_series", "Series received by the network, by state.", labels=["state"])
        for state, number in self._network.arrival_counts().items():
            arrived.add_metric([state], number)
        yield arrived
        objects = GaugeMetricFamily("casewise_outbox_objects", "Objects for other systems, by state.", labels=["state"])
        for state, number in self._network.outbox.counts().items():
            objects.add_metric([state], number)
        yield objects
        age = self._network.outbox.waited()
        yield GaugeMetricFamily("casewise_outbox_age_seconds", "How long the oldest object that is not sent has waited.", value=age)
