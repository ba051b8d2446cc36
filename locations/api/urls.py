from gamer.web.routing import route
from locations.api.views import LocationSearchView

urlpatterns = [route("locations/search", LocationSearchView.as_view(), name="locations-search")]
