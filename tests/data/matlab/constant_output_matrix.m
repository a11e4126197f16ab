function [y1] = constant_output_matrix(x1)
%   x = 3xQ matrix, input #1

% ===== CONSTANTS =====

% Input 1
x1_step1.xoffset = [7.5003314335329794;5.5620052516558687;1.8442478265056743];
x1_step1.gain = [0.3026189447397204;0.28896475262365662;0.24274737044303402];
x1_step1.ymean = 0;
x1_step2.xoffset = [-0.8647500128893757;-0.88823110002854833;-0.99990094197921042];
x1_step2.gain = [0.16857256704935777;0.1784549213512335;0.16998353238674627];
x1_step2.ymin = -1;

% Layer 1
b1 = [1.5711937149969533;-0.49364477263943496;-0.78598023593382804;1.7409691521607253];
IW1_1 = [-1.981336199478787 1.8348793854732393 -1.1299165423187663;1.4118257943515264 -1.9439426956058456 1.8935805075665642;-0.26782064052624188 1.2698446596739985 -1.9021460574769848;-0.98353961872004647 -0.086552258365178394 1.1552839164142752];

% Layer 2
b2 = [0.048161777135835117;-1.2310836193395365];
LW2_1 = [1.9277230197216553 1.0743753948080326 -1.2923870978979031 -1.843809420190559;-1.866472079599703 0.13629601391160717 1.9451512232024504 1.0305181916446653];

% Output 1
y1_step1.xrows = 3;
y1_step1.keep = [1 3];
y1_step1.remove = 2;
y1_step1.constants = 11;
y1_step2.xoffset = [-10.871857021763482;-10.998356677245786];
y1_step2.gain = [0.25411867644348285;0.25036603524942092];
y1_step2.ymin = -1;

% ===== SIMULATION ========

Q = size(x1,2); % samples
xp1 = mapstd_apply(x1,x1_step1);
xp1 = mapminmax_apply(xp1,x1_step2);
a1 = tansig_apply(repmat(b1,1,Q) + IW1_1*xp1);
a2 = repmat(b2,1,Q) + LW2_1*a1;
temp = mapminmax_reverse(a2,y1_step2);
temp = removeconstantrows_reverse(temp,y1_step1);
y1 = temp;
end

function y = mapminmax_apply(x,settings)
y = (x - settings.xoffset) .* settings.gain + settings.ymin;
end

function x = mapminmax_reverse(y,settings)
x = (y - settings.ymin) ./ settings.gain + settings.xoffset;
end

function y = mapstd_apply(x,settings)
y = (x - settings.xoffset) .* settings.gain + settings.ymean;
end

function x = removeconstantrows_reverse(y,settings)
x = zeros(settings.xrows,size(y,2)); x(settings.keep,:) = y; x(settings.remove,:) = repmat(settings.constants,1,size(y,2));
end

function a = tansig_apply(n,~)
a = 2 ./ (1 + exp(-2*n)) - 1;
end
