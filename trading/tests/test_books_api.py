"""Orders, trades and positions over the API: narrowed, below accounts and bots, as a table, in few queries and bytes."""

from __future__ import annotations

import csv
import io

import pytest

from tests.support.demo import demo, person
from trading.models import Fill, Order, OrderEvent, Position

pytestmark = [pytest.mark.django_db, pytest.mark.ci]
LISTS = ["orders", "trades", "positions"]


@pytest.fixture
def made(client):
    house = demo(cycles=3, equity_points=4)
    client.force_login(house.user)
    client.get("/api/v1/jobs/")  # the first request of a session makes its row
    return house


def results(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_orders_are_narrowed_by_role_side_symbol_state_and_whether_they_are_open(client, made):
    every = results(client, "orders/?limit=500")
    assert len(every) == Order.objects.count()
    assert {row["role"] for row in results(client, "orders/?role=stop")} == {"stop"}
    assert {row["side"] for row in results(client, "orders/?side=BUY")} == {"BUY"}
    assert {row["symbol"] for row in results(client, "orders/?symbol=ETHUSDT")} == {"ETHUSDT"}
    for told in ("true", "false"):
        wanted = [row["id"] for row in every if row["open"] is (told == "true")]
        assert wanted
        assert [row["id"] for row in results(client, f"orders/?limit=500&open={told}")] == wanted


def test_an_order_tells_everything_that_happened_to_it(client, made):
    event = OrderEvent.objects.latest("pk")
    told = client.get(f"/api/v1/orders/{event.order_id}/").json()
    assert [one["sequence"] for one in told["events"]] == list(
        event.order.events.order_by("sequence").values_list("sequence", flat=True)
    )


def test_a_position_comes_with_its_orders(client, made):
    row = Position.objects.filter(orders__isnull=False).latest("pk")
    told = client.get(f"/api/v1/positions/{row.pk}/").json()
    assert {one["id"] for one in told["orders"]} == set(row.orders.values_list("pk", flat=True))


def test_a_trade_says_what_it_was_for(client, made):
    fill = Fill.objects.select_related("order").latest("at", "pk")
    told = results(client, "trades/")[0]
    assert (told["id"], told["order"], told["role"]) == (fill.pk, fill.order_id, fill.order.role)
    assert (told["bot"], told["position"], told["decision"]) == (
        fill.order.bot_id, fill.position_id, fill.order.decision_id,
    )  # fmt: skip
    assert {row["role"] for row in results(client, "trades/?role=entry")} == {"entry"}
    assert len(results(client, f"trades/?until={told['at']}")) == Fill.objects.filter(at__lt=fill.at).count()


@pytest.mark.parametrize("kind", LISTS)
def test_the_same_lists_stand_below_an_account_and_a_bot(client, made, kind):
    every = results(client, f"{kind}/")
    assert results(client, f"accounts/{made.account.pk}/{kind}/") == every
    of_bot = results(client, f"bots/{made.bot.pk}/{kind}/")
    assert of_bot == [row for row in every if row["bot"] == made.bot.pk]
    assert of_bot == results(client, f"{kind}/?bot={made.bot.pk}")


@pytest.mark.parametrize("kind", LISTS)
def test_what_is_anothers_does_not_exist(client, made, kind):
    row = results(client, f"{kind}/")[0]
    client.force_login(person("stranger@vibex.local"))
    assert results(client, f"{kind}/") == []
    for path in (f"{kind}/{row['id']}/", f"accounts/{made.account.pk}/{kind}/", f"bots/{made.bot.pk}/{kind}/"):
        assert client.get(f"/api/v1/{path}").status_code == 404
    for act in ("close", "stop", "target", "cancel"):
        told = client.post(f"/api/v1/{kind}/{row['id']}/{act}/", {"price": "1"}, content_type="application/json")
        assert told.status_code == 404


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("below", ["", "accounts", "bots"])
def test_a_list_takes_at_most_three_queries_besides_authentication(
    client, made, kind, below, django_assert_max_num_queries
):
    path = {"": "", "accounts": f"accounts/{made.account.pk}/", "bots": f"bots/{made.bot.pk}/"}[below]
    with django_assert_max_num_queries(3 + 2):  # session and person
        results(client, f"{path}{kind}/?limit=50")


@pytest.mark.parametrize("kind", LISTS)
def test_fifty_rows_are_small(client, made, kind):
    rows = results(client, f"{kind}/?limit=50")
    size = len(client.get(f"/api/v1/{kind}/?limit=50").content) / len(rows)
    assert size * 50 <= 30_000 or kind == "orders", size  # an order says more; `fields` leaves out what is not wanted


@pytest.mark.parametrize("kind", LISTS)
def test_a_table_has_the_columns_and_rows_of_the_list(client, made, kind):
    answer = client.get(f"/api/v1/{kind}/?format=csv")
    assert answer.status_code == 200
    table = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert [row["id"] for row in table] == [str(row["id"]) for row in results(client, f"{kind}/?limit=500")]
    assert {"symbol", "quantity"} <= set(table[0])


@pytest.mark.parametrize(
    "path",
    [
        "orders/?role=song", "orders/?state=x", "orders/?open=perhaps", f"orders/?bot={10**30}", "trades/?since=0000-01-01",
        f"trades/?order={10**30}", "trades/?maker=x", "positions/?bots=1", "positions/?exit_reason=x", "trades/?ordering=x",
        "positions/?until=9999-12-31T23:59:59-14:00",
    ],
)  # fmt: skip
def test_a_filter_that_does_not_fit_is_refused(client, made, path):
    assert client.get(f"/api/v1/{path}").status_code == 400


@pytest.mark.parametrize(
    "path", [f"orders/{10**30}/", f"bots/{10**30}/trades/", f"accounts/{10**30}/halt/", "trades/x/"]
)
def test_an_id_that_no_database_holds_is_not_found(client, made, path):
    assert client.get(f"/api/v1/{path}").status_code == 404
