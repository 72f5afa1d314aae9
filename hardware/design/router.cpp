// Routes what the pours leave: two signal layers, one track width, one via, on a grid.
//
// Every net is routed by A* over cells that other nets' pads leave free. Nets may share cells at first, at a price that
// grows with every round and that a cell remembers (negotiated congestion), until none does.
//
// In (text):  width height track_reach via_reach via_track_reach        (reaches in cells between centres)
//             2 x per layer: owner of each cell for a track's centre, run-length: count owner ... (0 free, -1 nobody's)
//             owner of each cell for a via's centre, likewise
//             number of nets; per net: id to_plane terminals; per terminal: count, then cell indices (layer*W*H + y*W + x)
// Out (text): "T id layer x0 y0 x1 y1" tracks, "V id x y" vias, "F id" for a net that found no way.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <queue>
#include <set>
#include <vector>

namespace {

struct Offset { int dx, dy; };
struct Net {
    int id = 0;
    bool to_plane = false;
    std::vector<std::vector<int>> terminals;
    std::vector<std::vector<int>> paths;  // cells in order
    std::vector<int> vias;                // cells without layer
    bool complete = false;
};

int width, height, cells;
std::vector<int> track_owner, via_owner;    // [layer][cell], [cell]
std::vector<int> track_use, via_use;        // nets whose copper forbids a track's or a via's centre here
std::vector<float> track_history, via_history;
std::vector<Offset> track_disc, via_disc, mixed_disc;
double sharing_price = 0.6;

std::vector<Offset> disc(double reach) {
    std::vector<Offset> offsets;
    const int limit = static_cast<int>(std::ceil(reach));
    for (int dy = -limit; dy <= limit; ++dy)
        for (int dx = -limit; dx <= limit; ++dx)
            if (dx * dx + dy * dy < reach * reach - 1e-6) offsets.push_back({dx, dy});
    return offsets;
}

void spread(std::vector<char>& mask, int base, int cell, const std::vector<Offset>& offsets) {
    const int x = cell % width, y = cell / width;
    for (const auto& offset : offsets) {
        const int nx = x + offset.dx, ny = y + offset.dy;
        if (nx >= 0 && ny >= 0 && nx < width && ny < height) mask[base + ny * width + nx] = 1;
    }
}

// Adds `step` to every cell that this net's copper forbids to others.
void occupy(const Net& net, int step) {
    std::vector<char> tracks(2 * cells, 0), vias(cells, 0);
    for (const auto& path : net.paths)
        for (int node : path) {
            spread(tracks, node / cells * cells, node % cells, track_disc);
            spread(vias, 0, node % cells, mixed_disc);
        }
    for (int via : net.vias) {
        for (int layer = 0; layer < 2; ++layer) spread(tracks, layer * cells, via, mixed_disc);
        spread(vias, 0, via, via_disc);
    }
    for (int node = 0; node < 2 * cells; ++node) track_use[node] += tracks[node] * step;
    for (int cell = 0; cell < cells; ++cell) via_use[cell] += vias[cell] * step;
}

class Search {
  public:
    explicit Search(Net& net) : net_(net), cost_(2 * cells, 1e30F), from_(2 * cells, -1) {}

    // Joins the terminals one by one, nearest first by the search itself; a net to a plane ends at its first via.
    bool run() {
        net_.paths.clear();
        net_.vias.clear();
        std::vector<char> joined(net_.terminals.size(), 0);
        std::vector<int> tree(net_.terminals[0]);
        joined[0] = 1;
        std::size_t left = net_.terminals.size() - 1;
        if (net_.to_plane) return grow(tree, {}, nullptr) >= 0;
        std::vector<int> terminal_of(2 * cells, -1);
        for (std::size_t t = 0; t < net_.terminals.size(); ++t)
            for (int node : net_.terminals[t]) terminal_of[node] = static_cast<int>(t);
        while (left > 0) {
            const int found = grow(tree, joined, &terminal_of);
            if (found < 0) return false;
            joined[found] = 1;
            tree.insert(tree.end(), net_.terminals[found].begin(), net_.terminals[found].end());
            for (int node : net_.paths.back()) tree.push_back(node);
            --left;
        }
        return true;
    }

  private:
    bool track_free(int node) const { return track_owner[node] == 0 || track_owner[node] == net_.id; }
    bool via_free(int cell) const { return via_owner[cell] == 0 || via_owner[cell] == net_.id; }
    float via_price(int cell) const {
        return 14.0F + 8.0F * (via_history[cell] + static_cast<float>(sharing_price) * via_use[cell]);
    }

    int grow(const std::vector<int>& tree, const std::vector<char>& joined, const std::vector<int>* terminal_of) {
        using Entry = std::pair<float, int>;
        std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
        std::fill(cost_.begin(), cost_.end(), 1e30F);
        for (int node : tree) { cost_[node] = 0; from_[node] = -1; open.push({0, node}); }
        float plane_cost = 1e30F;
        int plane_node = -1;
        while (!open.empty()) {
            const auto [price, node] = open.top();
            open.pop();
            if (price > cost_[node] + 1e-4F) continue;
            if (terminal_of != nullptr) {
                const int terminal = (*terminal_of)[node];
                if (terminal >= 0 && joined[terminal] == 0) { trace(node, -1); return terminal; }
            } else {
                if (price >= plane_cost) { trace(plane_node, plane_node % cells); return 0; }
                const int cell = node % cells;
                if (via_free(cell) && price + via_price(cell) < plane_cost) {
                    plane_cost = price + via_price(cell);
                    plane_node = node;
                }
            }
            step(node, price, open);
        }
        if (plane_node >= 0) { trace(plane_node, plane_node % cells); return 0; }
        return -1;
    }

    template <class Queue> void step(int node, float price, Queue& open) {
        static const Offset ways[8] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {1, -1}, {-1, 1}, {-1, -1}};
        const int layer = node / cells, cell = node % cells, x = cell % width, y = cell / width;
        for (int way = 0; way < 8; ++way) {
            const int nx = x + ways[way].dx, ny = y + ways[way].dy;
            if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
            const int next = layer * cells + ny * width + nx;
            if (!track_free(next)) continue;
            const float length = way < 4 ? 1.0F : 1.4142F;
            offer(next, node, price + length * (1 + track_history[next] + static_cast<float>(sharing_price) * track_use[next]), open);
        }
        const int other = (1 - layer) * cells + cell;
        if (via_free(cell) && track_free(other)) offer(other, node, price + via_price(cell), open);
    }

    template <class Queue> void offer(int next, int node, float price, Queue& open) {
        if (price < cost_[next] - 1e-4F) { cost_[next] = price; from_[next] = node; open.push({price, next}); }
    }

    void trace(int node, int plane_via) {
        if (plane_via >= 0) net_.vias.push_back(plane_via);
        std::vector<int> path;
        for (int at = node; at >= 0; at = from_[at]) {
            path.push_back(at);
            const int before = from_[at];
            if (before >= 0 && before % cells == at % cells) net_.vias.push_back(at % cells);
        }
        net_.paths.push_back(path);
    }

    Net& net_;
    std::vector<float> cost_;
    std::vector<int> from_;
};

int conflicts(const Net& net) {
    int found = 0;
    for (const auto& path : net.paths)
        for (int node : path) found += track_use[node] > 1;
    for (int via : net.vias) found += via_use[via] > 1;
    return found;
}

void remember() {
    for (int node = 0; node < 2 * cells; ++node)
        if (track_use[node] > 1) track_history[node] += 0.25F * static_cast<float>(track_use[node] - 1);
    for (int cell = 0; cell < cells; ++cell)
        if (via_use[cell] > 1) via_history[cell] += 0.25F * static_cast<float>(via_use[cell] - 1);
}

void read_runs(int* target) {
    for (int at = 0; at < cells;) {
        int count = 0, owner = 0;
        std::cin >> count >> owner;
        for (int i = 0; i < count; ++i) target[at++] = owner;
    }
}

void write(const Net& net) {
    if (!net.complete) std::printf("F %d\n", net.id);
    for (const auto& path : net.paths) {
        std::size_t start = 0;
        for (std::size_t i = 1; i <= path.size(); ++i) {
            const bool last = i == path.size();
            const auto way = [&](std::size_t a) { return path[a + 1] - path[a]; };
            if (!last && i - start >= 1 && (i - 1 == start || way(i - 1) == way(start))) continue;
            const int from = path[start], to = path[i - 1];
            if (from / cells == to / cells && from != to)
                std::printf("T %d %d %d %d %d %d\n", net.id, from / cells, from % cells % width, from % cells / width,
                            to % cells % width, to % cells / width);
            start = i - 1;
            if (!last) --i;
            if (last) break;
        }
    }
    const std::set<int> vias(net.vias.begin(), net.vias.end());
    for (int via : vias) std::printf("V %d %d %d\n", net.id, via % width, via / width);
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 120;
    double track_reach = 0, via_reach = 0, mixed_reach = 0;
    std::cin >> width >> height >> track_reach >> via_reach >> mixed_reach;
    cells = width * height;
    track_owner.resize(2 * cells);
    via_owner.resize(cells);
    track_use.assign(2 * cells, 0);
    via_use.assign(cells, 0);
    track_history.assign(2 * cells, 0);
    via_history.assign(cells, 0);
    read_runs(track_owner.data());
    read_runs(track_owner.data() + cells);
    read_runs(via_owner.data());
    track_disc = disc(track_reach);
    via_disc = disc(via_reach);
    mixed_disc = disc(mixed_reach);
    int count = 0;
    std::cin >> count;
    std::vector<Net> nets(count);
    for (auto& net : nets) {
        int terminals = 0, plane = 0;
        std::cin >> net.id >> plane >> terminals;
        net.to_plane = plane != 0;
        net.terminals.resize(terminals);
        for (auto& terminal : net.terminals) {
            int size = 0;
            std::cin >> size;
            terminal.resize(size);
            for (auto& node : terminal) std::cin >> node;
        }
    }
    for (int round = 0; round < rounds; ++round) {
        int routed = 0, open_nets = 0, total = 0;
        for (auto& net : nets) {
            if (round > 0 && net.complete && conflicts(net) == 0) continue;
            if (round > 0) occupy(net, -1);
            net.complete = Search(net).run();
            occupy(net, 1);
            ++routed;
        }
        for (const auto& net : nets) { total += conflicts(net); open_nets += !net.complete; }
        std::fprintf(stderr, "round %d: %d nets routed, %d cells shared, %d nets without a way\n", round, routed, total, open_nets);
        if (total == 0) break;
        remember();
        sharing_price = std::min(30.0, sharing_price * 1.3);
    }
    for (const auto& net : nets) write(net);
}
