"""Install, status and uninstall against a stand-in of Dashboards that answers as documented, and lies as it does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sorce.access import Access
from sorce.dashboards.build import built
from sorce.dashboards.csp import allows_pictures
from sorce.dashboards.install import install, installed, uninstall, wrong_objects
from sorce.dashboards.objects import Ids
from sorce.dashboards.photos import PhotosView
from sorce.dashboards.server import Dashboards, checked_url
from sorce.errors import DashboardsError
from sorce.mappings.found import FoundIndex
from sorce.mappings.index import attribute_types, index_body
from sorce.mappings.query import Version
from tests.dashboards.conftest import Record
from tests.kit.corpus import RECIPE
from tests.kit.dashboards import StandIn, standing_in

IDS = Ids("photos")


def view(*attributes: str, page: str | None = None) -> PhotosView:
    mapping = index_body(RECIPE, attributes=attribute_types(dict.fromkeys(attributes, "x")))["mappings"]
    found = FoundIndex.of("photos", {"photos": {"mappings": mapping, "settings": {"index.uuid": "x"}}})
    return PhotosView(found, Version(3, 6), regions=10, page=page)


@pytest.fixture
def there() -> StandIn:
    return StandIn()


@pytest.fixture
def dashboards(there: StandIn) -> Iterator[Dashboards]:
    with standing_in(there) as url, Dashboards(url, Access()) as found:
        yield found


def test_a_second_install_changes_nothing(there: StandIn, dashboards: Dashboards, record_property: Record) -> None:
    objects = built(view("shop"))
    assert install(dashboards, IDS, objects) == []
    first = {key: body["attributes"] for key, body in there.objects.items()}
    assert len(first) == len(objects) == len(set(first))
    assert install(dashboards, IDS, objects) == []
    second = {key: body["attributes"] for key, body in there.objects.items()}
    record_property("changed by a second install", sum(first.get(key) != second.get(key) for key in first | second))
    assert second == first
    assert there.imports == 2
    assert set(wrong_objects(dashboards, objects).values()) == {None}


def test_what_an_earlier_install_made_and_this_one_does_not_goes(there: StandIn, dashboards: Dashboards) -> None:
    install(dashboards, IDS, built(view("aisle", "shop")))
    assert install(dashboards, IDS, built(view("shop"))) == [("visualization", "sorce-attribute1-photos")]
    assert ("", "visualization", "sorce-attribute1-photos") not in there.objects


def test_uninstall_leaves_nothing_of_its_own_and_all_else(
    there: StandIn, dashboards: Dashboards, record_property: Record
) -> None:
    others = {
        ("", "dashboard", "sorce-board-other"): {"type": "dashboard", "id": "sorce-board-other"},
        ("", "dashboard", "sorce-board-my-photos"): {"type": "dashboard", "id": "sorce-board-my-photos"},
        ("theirs", "search", "sorce-list-photos"): {"type": "search", "id": "sorce-list-photos"},
        ("", "visualization", "7adfa750"): {"type": "visualization", "id": "7adfa750"},
    }
    there.objects.update(others)
    objects = built(view())
    install(dashboards, IDS, objects)
    assert set(uninstall(dashboards, IDS)) == {(each.type, each.id) for each in objects}
    record_property("left by uninstall", len(there.objects.keys() - others.keys()))
    assert there.objects == others
    assert uninstall(dashboards, IDS) == []


def test_a_success_that_wrote_nothing_is_told(there: StandIn, dashboards: Dashboards, record_property: Record) -> None:
    there.lies = True
    with pytest.raises(DashboardsError, match=r"said that it imported \d+ objects, but \d+ are not there as sent"):
        install(dashboards, IDS, built(view()))
    record_property("false success", "told")


def test_a_success_that_left_the_objects_of_before_is_told(
    there: StandIn, dashboards: Dashboards, record_property: Record
) -> None:
    install(dashboards, IDS, built(view()))
    there.lies = True
    with pytest.raises(DashboardsError, match=r"not there as sent \(index-pattern sorce-pattern-photos"):
        install(dashboards, IDS, built(view(page="https://photos.example")))
    record_property("false success", "told")
    wrong = wrong_objects(dashboards, built(view(page="https://photos.example")))
    assert wrong["visualization", "sorce-grid-photos"] == "was changed, or made by another version of sorce"


def test_results_beside_errors_count_for_nothing(there: StandIn, dashboards: Dashboards) -> None:
    """As in OSD 12657: a reference is missing, nothing is written, and `successResults` names all the same."""
    objects = [each for each in built(view()) if each.type == "search"]
    answer = dashboards.import_objects(b"".join(json.dumps(each.as_json()).encode() + b"\n" for each in objects))
    assert len(answer["successResults"]) == len(objects)
    assert there.objects == {}
    with pytest.raises(DashboardsError, match=r"not there"):
        install(dashboards, IDS, objects)


def test_a_version_that_refuses_valid_files_is_told(there: StandIn, dashboards: Dashboards) -> None:
    there.unsupported = True
    with pytest.raises(DashboardsError, match=r"as 3\.7\.0 does .*upgrade it, or import the file of"):
        install(dashboards, IDS, built(view()))


def test_each_tenant_has_its_own(there: StandIn) -> None:
    objects = built(view())
    with standing_in(there) as url, Dashboards(url, Access(), "global") as shared, Dashboards(url, Access()) as mine:
        install(shared, IDS, objects)
        assert len(installed(shared, IDS)) == len(objects)
        assert installed(mine, IDS) == []
    assert {tenant for tenant, _, _ in there.objects} == {"global"}


def test_who_asks_is_sent() -> None:
    access = Access(username="ann", password="secret")
    assert Dashboards("http://127.0.0.1:1", access)._headers["authorization"] == "Basic YW5uOnNlY3JldA=="


def test_no_dashboards_is_one_sentence() -> None:
    with (
        Dashboards("http://127.0.0.1:1", Access()) as nobody,
        pytest.raises(DashboardsError, match="no OpenSearch Dashboards answers at"),
    ):
        nobody.start_page()


@pytest.mark.parametrize("url", ["http://ann:secret@host", "ftp://host", "http://host?x=1", "http://host:0", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(DashboardsError, match="of --page") as refused:
        checked_url(url, "--page")
    assert "secret" not in str(refused.value)


POLICY = "script-src 'self'; img-src 'self' data: {}; connect-src 'self'"
HERE, PAGE = "https://search.example/_dashboards", "https://photos.example:8100/base"
PICTURES = {
    "no policy": (None, PAGE, True),
    "no rule of pictures": ("script-src 'self'", PAGE, True),
    "not named": (POLICY.format(""), PAGE, False),
    "named": (POLICY.format("https://photos.example:8100"), PAGE, True),
    "another port": (POLICY.format("https://photos.example"), PAGE, False),
    "any port": (POLICY.format("https://photos.example:*"), PAGE, True),
    "scheme": (POLICY.format("https:"), PAGE, True),
    "another scheme": (POLICY.format("http:"), "ftp://photos.example", False),
    "any": ("img-src *", PAGE, True),
    "subdomains": (POLICY.format("https://*.example:8100"), PAGE, True),
    "other subdomains": (POLICY.format("*.other.example:8100"), PAGE, False),
    "default": ("default-src 'self'", PAGE, False),
    "the same host": (POLICY.format(""), "https://search.example/sorce", True),
    "none": ("img-src 'none'", PAGE, False),
    "first of two": ("img-src 'self'; img-src *", PAGE, False),
}


@pytest.mark.parametrize(("policy", "page", "shown"), PICTURES.values(), ids=PICTURES.keys())
def test_the_content_policy_is_read(policy: str | None, page: str, shown: bool) -> None:
    assert allows_pictures(policy, HERE, page) is shown
